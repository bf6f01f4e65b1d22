// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { findGoFunctions } from './go-functions.ts';

const broken = 'k8s.io/kubernetes/vendor/github.com/json-iterator/go.(*frozenConfig).Marshal';
const standard = 'encoding/json.Marshal';

// Calls pass arguments in registers: rax is the receiver, rbx and rcx the value. The other has the value in rax and rbx.
const shiftArguments = Buffer.from([0x48, 0x89, 0xd8, 0x48, 0x89, 0xcb]);
const jump = 0xe9;
const jumpBytes = 5;

/**
 * Makes `kube-apiserver` in the directory one that bears custom resources, once; gives its path. Kubernetes 1.20 has a library for
 * JSON that iterates over maps by an internal function of Go, which has other arguments since Go 1.18. Built with Go 1.19, as
 * Debian 12 does, the server writes over its own memory and dies whenever it looks at the metadata of a custom resource,
 * which no test of upstream's makes. In the copy, the library's function jumps to the one of Go's own library, which does
 * the same. A server that has no such function is left as it is.
 */
export function repairApiServer(directory: string): string {
  const [original, repaired] = [join(directory, 'kube-apiserver'), join(directory, 'repaired', 'kube-apiserver')];
  if (existsSync(repaired)) return repaired;
  const image = readFileSync(original);
  const functions = findGoFunctions(image, [broken, standard]);
  if (functions === undefined) return original;
  const { [broken]: from, [standard]: to } = functions;
  shiftArguments.copy(image, from.offset);
  image.writeUInt8(jump, from.offset + shiftArguments.length);
  const next = from.address + shiftArguments.length + jumpBytes;
  image.writeInt32LE(to.address - next, from.offset + shiftArguments.length + 1);
  writeInPlace(repaired, image);
  return repaired;
}

/** Two tests may do this at the same time: whoever is last wins, with the same content. */
function writeInPlace(path: string, content: Buffer): void {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, content, { mode: 0o755 });
  renameSync(temporary, path);
}
