// SPDX-License-Identifier: Apache-2.0
// A certificate authority in a directory, by means of openssl: for the lab, for tests, and for clusters that have none of their own.
export { createAuthority, type Authority, type AuthorityOptions, type IssueOptions } from './authority.ts';
