// SPDX-License-Identifier: Apache-2.0
import type { WeirError } from '@weir/errors';
import { nativeAddon, type CoreBinding, type NativeHandle } from './native.ts';

export type NetnsHandle = NativeHandle & { readonly __object: 'netns' };
export type NetlinkHandle = NativeHandle & { readonly __object: 'netlink' };
export type WatchHandle = NativeHandle & { readonly __object: 'watch' };

export interface NativeNetns {
  readonly handle: NetnsHandle;
  readonly fd: number;
  readonly inode: number;
  readonly device: number;
}

export interface NativeReplies {
  /** The first message has this sequence number, the next the next, modulo 2^32. */
  readonly firstSequence: number;
  readonly count: number;
  readonly replies: Uint8Array;
}

export interface NativeAddress {
  readonly address: string;
  readonly port: number;
  readonly family: 'ipv4' | 'ipv6';
}

export type ConnectCallback = (error: WeirError | undefined, fd: number | undefined) => void;

export type ConnectArguments = readonly [
  netns: NetnsHandle | undefined,
  sourceAddress: string | undefined,
  sourcePort: number,
  address: string,
  port: number,
  options: Int32Array,
  callback: ConnectCallback,
];

export type ListenArguments = readonly [
  netns: NetnsHandle | undefined,
  address: string,
  port: number,
  options: Int32Array,
  backlog: number,
];

export type SubscribeArguments = readonly [
  netns: NetnsHandle | undefined,
  protocol: number,
  groups: Uint8Array,
  receiveBytes: number,
  callback: (batch: Uint8Array, lost: boolean) => void,
];

/** The sockets half of the addon. */
export interface SocketBinding extends CoreBinding {
  netnsOpen(path: string): NativeNetns;
  netnsWriteFile(netns: NetnsHandle, path: string, bytes: Uint8Array): Promise<void>;
  netnsReadFile(netns: NetnsHandle, path: string): Promise<string>;
  netlinkOpen(netns: NetnsHandle | undefined, protocol: number): NetlinkHandle;
  netlinkRequest(socket: NetlinkHandle, messages: Uint8Array): Promise<NativeReplies>;
  netlinkCancel(socket: NetlinkHandle): void;
  netlinkSubscribe(...args: SubscribeArguments): WatchHandle;
  tcpListen(...args: ListenArguments): number;
  tcpConnect(...args: ConnectArguments): { readonly fd: number } | { readonly handle: WatchHandle };
  /** Triples of level, name and value. */
  tcpSetOptions(fd: number, options: Int32Array): void;
  tcpOptionNumbers(): Readonly<Record<string, readonly [level: number, name: number]>>;
  tcpAddress(fd: number, ofPeer: boolean): NativeAddress;
}

/** The addon as the sockets half sees it. */
export const socketAddon = (): SocketBinding => nativeAddon<SocketBinding>();
