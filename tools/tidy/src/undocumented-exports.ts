// SPDX-License-Identifier: Apache-2.0
import ts from 'typescript';
import type { SourceFile } from './source-tree.ts';

/**
 * Exported functions, classes and constants without a contract sentence, as `path:line: name`. A run of constants under
 * one comment is documented by it; re-exports are documented where they come from.
 */
export function undocumentedExports({ path, text }: SourceFile): string[] {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const findings: string[] = [];
  // An enum in erasable TypeScript is a type and a constant of one name: the sentence on the type is for both.
  const documentedTypes = source.statements
    .filter((statement) => ts.isTypeAliasDeclaration(statement) && hasContract(statement, text))
    .map(nameOf);
  for (const statement of source.statements) {
    if (!isExportedValue(statement) || hasContract(statement, text)) continue;
    if (documentedTypes.includes(nameOf(statement))) continue;
    const { line } = source.getLineAndCharacterOfPosition(statement.getStart());
    findings.push(`${path}:${line + 1}: ${nameOf(statement)}`);
  }
  return findings;
}

function isExportedValue(statement: ts.Statement): boolean {
  const isValue =
    ts.isFunctionDeclaration(statement) || ts.isClassDeclaration(statement) || ts.isVariableStatement(statement);
  const modifiers = isValue ? ts.getModifiers(statement) : undefined;
  return modifiers?.some((modifier) => modifier.kind === ts.SyntaxKind.ExportKeyword) ?? false;
}

function hasContract(statement: ts.Statement, text: string): boolean {
  if (ts.getLeadingCommentRanges(text, statement.getFullStart())?.length) return true;
  const startsARun = /^\s*?\n\s*?\n/.test(text.slice(statement.getFullStart(), statement.getStart()));
  return ts.isVariableStatement(statement) && !startsARun;
}

function nameOf(statement: ts.Statement): string {
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.map((declaration) => declaration.name.getText()).join(', ');
  }
  const { name } = statement as ts.FunctionDeclaration;
  return name?.text ?? 'default';
}
