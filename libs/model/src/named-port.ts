// SPDX-License-Identifier: Apache-2.0

/** A port that a pod's author gave a name, as in a container's `ports`. */
export interface NamedPort {
  readonly name: string;
  /** IANA number: TCP, UDP or SCTP. */
  readonly protocol: number;
  /** 1–65535. */
  readonly port: number;
}

/** Whether a text can be the name of a port: 1–15 letters, digits and inner single hyphens, at least one letter. */
export function isPortName(text: string): boolean {
  return /^(?=.{1,15}$)(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*$/i.test(text);
}
