// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { findVerdict, firstComplaint } from './verifier-log.ts';

/** As libbpf prints it, around what a verifier said. */
function libbpfLog(verifier: string): string {
  return [
    "libbpf: prog 'from_pod': BPF program load failed: Permission denied",
    "libbpf: prog 'from_pod': -- BEGIN PROG LOAD LOG --",
    verifier,
    '-- END PROG LOAD LOG --',
    "libbpf: prog 'from_pod': failed to load: -13",
    "libbpf: failed to load object 'weir'",
  ].join('\n');
}

const tooFar = `0: R1=ctx() R10=fp0
; void *data = (void *)(long)skb->data; @ weir.bpf.c:11
0: (61) r1 = *(u32 *)(r1 +76)         ; R1=pkt(r=0)
; return *(__u32 *)(data + 64); @ weir.bpf.c:12
1: (61) r0 = *(u32 *)(r1 +64)
invalid access to packet, off=64 size=4, R1(id=0,off=64,r=0)
R1 offset is outside of the packet
processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0`;

// Linux 5.10 prints the state of registers after the last instruction, and no file names.
const older = `; int from_pod(struct __sk_buff *skb)
0: (b7) r0 = 0
1: (95) exit
from 3 to 7: R0_w=inv0 R1=ctx(id=0,off=0,imm=0) R10=fp0
R0_w=inv0 R10=fp0
last_idx 6 first_idx 0
7: (85) call unknown#217
invalid func unknown#217
verification time 88 usec
stack depth 0
processed 8 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
`;

describe('findVerdict()', () => {
  it('gives the reason and the line of the source', () => {
    expect(findVerdict(libbpfLog(tooFar))).toEqual({
      program: 'from_pod',
      reason: 'invalid access to packet, off=64 size=4, R1(id=0,off=64,r=0); R1 offset is outside of the packet',
      source: 'return *(__u32 *)(data + 64); @ weir.bpf.c:12',
    });
  });

  it('leaves out register states and statistics of older kernels', () => {
    expect(findVerdict(libbpfLog(older))?.reason).toBe('invalid func unknown#217');
  });

  it('takes the end of a log that has no instruction', () => {
    expect(findVerdict(libbpfLog('number of funcs in func_info does not match'))).toEqual({
      program: 'from_pod',
      reason: 'number of funcs in func_info does not match',
      source: undefined,
    });
  });

  it('keeps the reason short however much there is', () => {
    const loops = Array.from({ length: 1000 }, (_, i) => `complaint ${i}`).join('\n');
    expect(findVerdict(libbpfLog(`0: (95) exit\n${loops}`))?.reason.length).toBeLessThan(200);
  });

  it('is undefined for a log without a verifier in it', () => {
    expect(findVerdict("libbpf: failed to find BTF for extern 'x'")).toBeUndefined();
    expect(findVerdict('')).toBeUndefined();
  });
});

describe('firstComplaint()', () => {
  it('gives the first line without its prefix', () => {
    expect(firstComplaint('libbpf: elf: bad header\nlibbpf: more\n')).toBe('elf: bad header');
  });

  it('is undefined when libbpf said nothing', () => {
    expect(firstComplaint('')).toBeUndefined();
  });
});
