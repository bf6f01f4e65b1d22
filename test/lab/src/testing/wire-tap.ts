// SPDX-License-Identifier: Apache-2.0
import { createInterface } from 'node:readline';
import type { Lab } from '@weir/lab';

/** A datagram as it was on a wire. */
export interface TappedDatagram {
  readonly trafficClass: number;
  /** Of the packet that it was wrapped in, if it was. */
  readonly outerTrafficClass?: number;
}

/** Listens to what comes in by `eth0` of a pod or host. */
export interface WireTap {
  /** The next datagram, in the order of the wire; fails when none comes. */
  next(): Promise<TappedDatagram>;
  close(): void;
}

const patienceMs = 10_000;

const program = `
import json, socket, struct, sys
port = int(sys.argv[1])
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
wire.bind(("eth0", 0))
print(flush=True)

def datagram(frame):
    kind, = struct.unpack_from("!H", frame, 12)
    if kind == 0x0800 and frame[23] == 17:
        return frame[15], frame[14 + (frame[14] & 15) * 4:]
    if kind == 0x86dd and frame[20] == 17:
        return (frame[14] << 4 | frame[15] >> 4) & 255, frame[54:]
    return None, b""

while True:
    frame, address = wire.recvfrom(65535)
    outer, udp = datagram(frame)
    if outer is None or address[2] == socket.PACKET_OUTGOING:
        continue
    found = {"trafficClass": outer}
    if udp[2:4] == struct.pack("!H", 8472):
        inner, udp = datagram(udp[16:])
        found = {"trafficClass": inner, "outerTrafficClass": outer}
    if udp[2:4] == struct.pack("!H", port):
        print(json.dumps(found), flush=True)
`;

/** Begins to listen for datagrams to a port, by themselves or in the overlay; resolves when none is missed any more. */
export async function tapWire(lab: Lab, target: string, port: number): Promise<WireTap> {
  const child = await lab.spawn(target, ['/usr/bin/python3', '-c', program, String(port)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout! });
  const heard: string[] = [];
  let wake = (): void => undefined;
  lines.on('line', (line) => {
    heard.push(line);
    wake();
  });
  const take = async (): Promise<string> => {
    if (heard.length === 0) {
      const { promise, resolve, reject } = Promise.withResolvers<undefined>();
      const timer = setTimeout(() => reject(new Error(`nothing comes to port ${port} at ${target}`)), patienceMs);
      wake = () => resolve(undefined);
      await promise.finally(() => clearTimeout(timer));
    }
    return heard.shift()!;
  };
  await take();
  return {
    next: async () => JSON.parse(await take()) as TappedDatagram,
    close: () => void child.kill('SIGKILL'),
  };
}
