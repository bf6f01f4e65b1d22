// SPDX-License-Identifier: Apache-2.0
import { splitBody } from './attributes.ts';
import { invalidField, linkName, wholeNumber } from './field.ts';
import { familyName, familyNumber, networkBytes, type AddressFamily } from './ip-bytes.ts';
import { createMessageWriter, type MessageWriter } from './message-writer.ts';
import { nothing, tolerating, type Operation } from './operation.ts';
import { FRA, FR_ACT, NLM_F, RTM, RTPROT, RT_TABLE } from './rtnetlink-constants.ts';
import { withoutUndefined } from './without-undefined.ts';

/** A routing policy rule: which packets are routed by which table. */
export interface Rule {
  readonly family: AddressFamily;
  /** Rules are asked in this order, lowest first. Default: just before the lowest but one there is, as the kernel does. */
  readonly priority?: number;
  /** The table that is asked for packets the rule matches. */
  readonly table: number;
  /** Matches packets whose mark, under the mask, is this one. Default of the mask: all bits. */
  readonly mark?: { readonly value: number; readonly mask?: number };
  /** Prefix of the source address. */
  readonly from?: string;
  /** Prefix of the destination address. */
  readonly to?: string;
  readonly inputLink?: string;
  readonly outputLink?: string;
  /** Who made the rule: a number from 5 to 255 of the maker's choice. Default: static (4). */
  readonly protocol?: number;
}

/** A rule as the kernel reports it. */
export interface RuleState extends Rule {
  readonly priority: number;
  readonly protocol: number;
}

/** Which rules to list; what is left out does not restrict. */
export interface RuleFilter {
  readonly family?: AddressFamily;
}

const headerBytes = 12;
const allBits = 0xffff_ffff;

interface RulePrefixes {
  readonly from?: { bytes: Uint8Array; lengthBits: number };
  readonly to?: { bytes: Uint8Array; lengthBits: number };
}

function rulePrefix(field: 'from' | 'to', rule: Rule): { bytes: Uint8Array; lengthBits: number } | undefined {
  const text = rule[field];
  if (text === undefined) return undefined;
  const prefix = networkBytes(`rule ${field}`, text);
  if (prefix.family !== familyNumber(rule.family)) {
    throw invalidField(`rule ${field}`, { value: text, expected: `an ${rule.family} prefix` });
  }
  return prefix;
}

function writeHeader(writer: MessageWriter, values: { family: number; table?: number; prefixes?: RulePrefixes }): void {
  const { family, table, prefixes } = values;
  const header = new Uint8Array(headerBytes);
  header[0] = family;
  header[1] = prefixes?.to?.lengthBits ?? 0;
  header[2] = prefixes?.from?.lengthBits ?? 0;
  if (table !== undefined) {
    header[4] = table <= 0xff ? table : RT_TABLE.UNSPEC;
    header[7] = FR_ACT.TO_TBL;
  }
  writer.raw(header);
}

function ruleMessage(rule: Rule, header: { type: number; flags?: number }): Uint8Array {
  const { priority, mark, inputLink, outputLink, protocol } = rule;
  if (rule.family !== 'ipv4' && rule.family !== 'ipv6') {
    throw invalidField('rule family', { value: rule.family, expected: '"ipv4" or "ipv6"' });
  }
  const table = wholeNumber('rule table', rule.table, { min: 1 });
  const from = rulePrefix('from', rule);
  const to = rulePrefix('to', rule);
  const writer = createMessageWriter(header);
  writeHeader(writer, {
    family: familyNumber(rule.family),
    table,
    prefixes: withoutUndefined({ from, to }),
  });
  writer.uint32(FRA.TABLE, table);
  if (priority !== undefined) writer.uint32(FRA.PRIORITY, wholeNumber('rule priority', priority));
  if (mark !== undefined) {
    writer.uint32(FRA.FWMARK, wholeNumber('rule mark value', mark.value));
    writer.uint32(FRA.FWMASK, wholeNumber('rule mark mask', mark.mask ?? allBits));
  }
  if (from !== undefined) writer.bytes(FRA.SRC, from.bytes);
  if (to !== undefined) writer.bytes(FRA.DST, to.bytes);
  if (inputLink !== undefined) writer.text(FRA.IIFNAME, linkName('rule inputLink', inputLink));
  if (outputLink !== undefined) writer.text(FRA.OIFNAME, linkName('rule outputLink', outputLink));
  if (protocol !== undefined) {
    writer.uint8(FRA.PROTOCOL, wholeNumber('rule protocol', protocol, { min: 1, max: 0xff }));
  }
  return writer.finish();
}

function title({ family, priority, table }: Rule): string {
  return `${family} rule${priority === undefined ? '' : ` with priority ${priority}`} for table ${table}`;
}

/** Adds a rule; fails with `ALREADY_EXISTS` if there is one just like it. */
export function addRule(rule: Rule): Operation<void> {
  const message = ruleMessage(
    { ...rule, protocol: rule.protocol ?? RTPROT.STATIC },
    { type: RTM.NEWRULE, flags: NLM_F.CREATE | NLM_F.EXCL },
  );
  return { description: `Adding ${title(rule)}`, message, isDump: false, decode: nothing };
}

/** Adds a rule unless there is one just like it: what a restarted agent needs. */
export function ensureRule(rule: Rule): Operation<void> {
  return tolerating(addRule(rule), { code: 'ALREADY_EXISTS', result: undefined });
}

/** Deletes the first rule that has everything that is given; fails with `NOT_FOUND` if there is none. */
export function deleteRule(rule: Rule): Operation<void> {
  const message = ruleMessage(rule, { type: RTM.DELRULE });
  return { description: `Deleting ${title(rule)}`, message, isDump: false, decode: nothing };
}

/** Reads the body of an RTM_NEWRULE or RTM_DELRULE message; undefined for a rule that does not name a table. */
export function decodeRule(body: Uint8Array): RuleState | undefined {
  const { fixed, attributes } = splitBody(body, headerBytes);
  const family = familyName(fixed.getUint8(0));
  if (family === undefined || fixed.getUint8(7) !== FR_ACT.TO_TBL) return undefined;
  const value = attributes.uint32(FRA.FWMARK);
  const prefix = (type: number, lengthBits: number): string | undefined => {
    const address = attributes.ip(type);
    return address === undefined ? undefined : `${address}/${lengthBits}`;
  };
  return {
    family,
    priority: attributes.uint32(FRA.PRIORITY) ?? 0,
    table: attributes.uint32(FRA.TABLE) ?? fixed.getUint8(4),
    protocol: attributes.uint8(FRA.PROTOCOL) ?? RTPROT.UNSPEC,
    ...withoutUndefined({
      mark: value === undefined ? undefined : { value, mask: attributes.uint32(FRA.FWMASK) ?? allBits },
      from: prefix(FRA.SRC, fixed.getUint8(2)),
      to: prefix(FRA.DST, fixed.getUint8(1)),
      inputLink: attributes.text(FRA.IIFNAME),
      outputLink: attributes.text(FRA.OIFNAME),
    }),
  };
}

/** Lists the rules of the namespace that send packets to a table, in the order in which they are asked. */
export function listRules({ family }: RuleFilter = {}): Operation<RuleState[]> {
  const writer = createMessageWriter({ type: RTM.GETRULE, flags: NLM_F.DUMP });
  writeHeader(writer, { family: familyNumber(family) });
  return {
    description: 'Listing rules',
    message: writer.finish(),
    isDump: true,
    decode: (bodies) => bodies.map(decodeRule).filter((rule) => rule !== undefined),
  };
}
