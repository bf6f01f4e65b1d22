// SPDX-License-Identifier: Apache-2.0
import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseAllDocuments,
} from 'yaml';
import { policyLimits } from '../limits.ts';
import type { ProblemList } from '../problem.ts';
import type { DocumentNode, MapField, Span } from './document-node.ts';

/** A file to read: its name for messages, and what it holds. */
export interface PolicyFile {
  readonly name: string;
  /** YAML or JSON; bytes must be UTF-8. */
  readonly content: string | Uint8Array;
}

/** A file that has been read: its documents, and a way from offsets to lines. */
export interface ReadFile {
  readonly name: string;
  readonly documents: readonly DocumentNode[];
  /** Line and column, each from 1, of an offset. */
  position(offset: number): { readonly line: number; readonly column: number };
}

/** Ends the conversion of a document that goes beyond a limit. */
class LimitReached {
  readonly span: Span;
  readonly message: string;

  constructor(span: Span, message: string) {
    this.span = span;
    this.message = message;
  }
}

interface Conversion {
  readonly source: string;
  /** Finds what an alias stands for. */
  readonly anchors: AnchorTable;
  readonly report: (span: Span, message: string) => void;
  /** Shared by all documents of a file. */
  readonly budget: { nodes: number };
}

/** Remembers anchors as a walk comes past them: the parser's own look-up walks the whole document for each alias. */
interface AnchorTable {
  /** Call for every node, in document order. */
  pass(node: Node): void;
  /** What an alias stood for where it was first met. */
  targetOf(alias: Alias): Node | undefined;
}

function createAnchorTable(): AnchorTable {
  const byName = new Map<string, Node>();
  const passed = new Set<Node>();
  const targets = new Map<Alias, Node | undefined>();
  return {
    pass(node) {
      if (isAlias(node) || node.anchor === undefined || passed.has(node)) return;
      passed.add(node);
      byName.set(node.anchor, node);
    },
    targetOf(alias) {
      if (!targets.has(alias)) targets.set(alias, byName.get(alias.source));
      return targets.get(alias);
    },
  };
}

const spanOf = (node: Node | null | undefined, fallback: Span): Span =>
  node?.range ? { start: node.range[0], end: node.range[1] } : fallback;

function convertKey(key: unknown, conversion: Conversion, at: Span): { text: string; span: Span } | undefined {
  if (isScalar(key) && typeof key.value === 'string') return { text: key.value, span: spanOf(key, at) };
  // JSON and Kubernetes know string keys only; what looks like a number is the string that is written there.
  if (isScalar(key) && key.range && (typeof key.value === 'number' || typeof key.value === 'boolean')) {
    const span = spanOf(key, at);
    return { text: conversion.source.slice(span.start, span.end), span };
  }
  conversion.report(at, 'Key of a mapping is not a string');
  return undefined;
}

function convertMap(
  items: readonly { key: unknown; value: unknown }[],
  at: { span: Span; depth: number },
  conversion: Conversion,
): DocumentNode {
  const fields: MapField[] = [];
  const seen = new Set<string>();
  for (const item of items) {
    const key = convertKey(item.key, conversion, at.span);
    if (key === undefined) continue;
    if (seen.has(key.text)) conversion.report(key.span, `Key "${key.text}" occurs twice in one mapping`);
    seen.add(key.text);
    const value = convert(item.value as Node | null, { span: key.span, depth: at.depth + 1 }, conversion);
    fields.push({ key: key.text, keySpan: key.span, value });
  }
  return { kind: 'map', fields, span: at.span };
}

function convert(node: Node | null, parent: { span: Span; depth: number }, conversion: Conversion): DocumentNode {
  const span = spanOf(node, parent.span);
  if (++conversion.budget.nodes > policyLimits.nodesPerFileMax) {
    throw new LimitReached(span, `File has more than ${policyLimits.nodesPerFileMax} values, aliases expanded`);
  }
  if (parent.depth > policyLimits.nestingMax) {
    throw new LimitReached(span, `Values are nested more than ${policyLimits.nestingMax} deep`);
  }
  if (node !== null) conversion.anchors.pass(node);
  if (isAlias(node)) {
    const target = conversion.anchors.targetOf(node);
    if (target !== undefined) return convert(target, { span, depth: parent.depth + 1 }, conversion);
    conversion.report(span, `Alias "*${node.source}" has no anchor`);
  } else if (isMap(node)) {
    return convertMap(node.items, { span, depth: parent.depth }, conversion);
  } else if (isSeq(node)) {
    const items = node.items.map((item) => convert(item as Node | null, { span, depth: parent.depth + 1 }, conversion));
    return { kind: 'list', items, span };
  } else if (isScalar(node)) {
    const { value } = node;
    const text = conversion.source.slice(span.start, span.end);
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') {
      return { kind: 'scalar', value, text, span };
    }
  }
  return { kind: 'scalar', value: null, text: '', span };
}

function decode(file: PolicyFile): string | { readonly problem: string } {
  const bytes = typeof file.content === 'string' ? new TextEncoder().encode(file.content).length : file.content.length;
  if (bytes > policyLimits.fileBytesMax) {
    return { problem: `File has ${bytes} bytes; expected at most ${policyLimits.fileBytesMax}` };
  }
  if (typeof file.content === 'string') return file.content;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(file.content);
  } catch {
    return { problem: 'File is not UTF-8 text' };
  }
}

/** What is wrong with a document's syntax. One mistake makes the parser stumble over what follows: only the first counts. */
function syntaxProblem(document: Document): { span: Span; message: string } | undefined {
  const error = [...document.errors, ...document.warnings].sort((a, b) => a.pos[0] - b.pos[0])[0];
  if (error === undefined) return undefined;
  const span = { start: error.pos[0], end: error.pos[1] };
  const isTooDeep = error.code === 'RESOURCE_EXHAUSTION';
  return { span, message: isTooDeep ? `Values are nested more than ${policyLimits.nestingMax} deep` : error.message };
}

/**
 * Reads a YAML or JSON file into its documents. Syntax errors, duplicate keys and exceeded limits become problems, and
 * the document that has one is left out; so are documents without content.
 */
export function readDocuments(file: PolicyFile, problems: ProblemList): ReadFile {
  const source = decode(file);
  const lines = new LineCounter();
  const position = (offset: number): { line: number; column: number } => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const at = (span: Span, message: string, value = ''): void =>
    problems.add({ file: file.name, ...position(span.start), path: '', value, message });
  if (typeof source !== 'string') {
    at({ start: 0, end: 0 }, source.problem);
    return { name: file.name, documents: [], position };
  }
  const report = (span: Span, message: string): void =>
    at(span, message, source.slice(span.start, span.end).slice(0, 80));

  // Duplicate keys are found below: the parser's own check is quadratic in the size of a mapping.
  const parsed = parseAllDocuments(source, {
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: false,
    logLevel: 'silent',
  });
  const documents: DocumentNode[] = [];
  const budget = { nodes: 0 };
  for (const [index, document] of (Array.isArray(parsed) ? parsed : []).entries()) {
    const syntax = syntaxProblem(document);
    const whole = { start: document.range[0], end: document.range[1] };
    if (index >= policyLimits.documentsPerFileMax) {
      report(whole, `File has more than ${policyLimits.documentsPerFileMax} documents`);
      break;
    }
    if (syntax !== undefined) {
      report(syntax.span, syntax.message);
      continue;
    }
    const before = problems.count;
    try {
      const root = convert(
        document.contents,
        { span: whole, depth: 0 },
        { source, anchors: createAnchorTable(), report, budget },
      );
      const isEmpty = root.kind === 'scalar' && root.value === null;
      if (problems.count === before && !isEmpty) documents.push(root);
    } catch (thrown) {
      if (!(thrown instanceof LimitReached)) throw thrown;
      report(thrown.span, thrown.message);
      if (budget.nodes > policyLimits.nodesPerFileMax) break;
    }
  }
  return { name: file.name, documents, position };
}
