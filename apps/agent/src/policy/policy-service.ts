// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import type { Policy, PolicyEngine, PolicyFile, PolicyProblem } from '@weir/policy';
import { changeOf, type OwnedPolicies, type PolicyReplacement, refuseOwned } from './owned-policies.ts';
import { parsePolicies } from './parse-policies.ts';
import type { PolicyController } from './policy-controller.ts';
import type { PolicyPrefixes } from './policy-prefixes.ts';
import type { PolicyStore } from './policy-store.ts';

/** What an import or a deletion came to. With problems nothing has changed. */
export interface PolicyOutcome {
  readonly revision: number;
  readonly problems: readonly PolicyProblem[];
  /** Keys of the policies concerned. */
  readonly keys: readonly string[];
}

/** Which policies to delete: by `name` or `namespace/name`, by what files name, or all. */
export interface PolicySelection {
  readonly names: readonly string[];
  readonly files: readonly PolicyFile[];
  readonly all: boolean;
}

/** The policies of the node: on disk, in the engine and in the kernel at the same time, or not at all. */
export interface PolicyService {
  /** Resolves when all policies of the files are in force. A policy with the key of another one replaces it. */
  import(files: readonly PolicyFile[], options: { readonly validateOnly: boolean }): Promise<PolicyOutcome>;
  /** Resolves when the policies are not in force any more. Rejects with NOT_FOUND that names what does not exist. */
  delete(selection: PolicySelection): Promise<PolicyOutcome>;
  /**
   * Brings policies of an owner into force, whatever is wrong with others among them. Resolves when they are, with the files
   * that cannot be, and why: what was in force of these before stays.
   */
  sync(change: OwnedPolicies): Promise<ReadonlyMap<string, string>>;
}

export interface PolicyServiceOptions {
  readonly engine: PolicyEngine;
  readonly controller: PolicyController;
  readonly store: PolicyStore;
  readonly prefixes: PolicyPrefixes;
  /** Told when other policies are in force than before. */
  readonly onReplaced?: () => void;
}

const isNamed = ({ namespace, name }: Policy, wanted: string): boolean =>
  name === wanted || `${namespace}/${name}` === wanted;

/** Which policies a selection means. */
async function selectedKeys(
  { names, files, all }: PolicySelection,
  policies: () => readonly Policy[],
): Promise<{ keys: string[]; problems: readonly PolicyProblem[] }> {
  if (all) return { keys: policies().flatMap(({ key, owner }) => (owner === undefined ? [key] : [])), problems: [] };
  const parsed = await parsePolicies(files);
  const named = names.map((name) => ({ name, found: policies().filter((policy) => isNamed(policy, name)) }));
  const known = new Set(policies().map(({ key }) => key));
  const missing = [
    ...named.filter(({ found }) => found.length === 0).map(({ name }) => name),
    ...parsed.policies.filter(({ key }) => !known.has(key)).map(({ key }) => key),
  ];
  if (missing.length > 0 && parsed.problems.length === 0) {
    throw new WeirError('NOT_FOUND', `There is no policy ${missing.map((name) => `"${name}"`).join(', ')}`);
  }
  const keys = [...named.flatMap(({ found }) => found), ...parsed.policies].map(({ key }) => key);
  return { keys: [...new Set(keys)], problems: parsed.problems };
}

/** See {@link PolicyService}. Changes are made one after the other. */
export function createPolicyService(options: PolicyServiceOptions): PolicyService {
  const { engine, controller, store, prefixes } = options;
  let last: Promise<unknown> = Promise.resolve();
  const byKey = (): Map<string, Policy> => new Map(engine.policies().map((policy) => [policy.key, policy]));

  /** The engine is put back where it was when the kernel has no room, or the disk fails: all three must mean the same. */
  const replace = async (change: PolicyReplacement): Promise<void> => {
    const before = byKey();
    const after = new Map(before);
    for (const key of change.delete) after.delete(key);
    for (const policy of change.upsert) after.set(policy.key, policy);
    const file = await store.prepare([...after.values()]);
    try {
      await commit(change);
      await file.commit();
      options.onReplaced?.();
    } catch (error) {
      const touched = [...change.upsert.map(({ key }) => key), ...change.delete];
      const upsert = touched.flatMap((key) => before.get(key) ?? []);
      // What cannot be put back now, the controller tries again.
      await commit({ upsert, delete: touched.filter((key) => !before.has(key)) }).catch(() => undefined);
      await file.discard();
      throw error;
    } finally {
      await prefixes.prune();
    }
  };

  /** Prefixes have their identities before a policy is about them. */
  const commit = (change: PolicyReplacement): Promise<void> =>
    controller.commit(prefixes.include({ upsertPolicies: change.upsert, deletePolicies: change.delete }));

  const inTurn = <Result>(task: () => Promise<Result>): Promise<Result> => {
    const run = last.then(task, task);
    last = run.catch(() => undefined);
    return run;
  };

  return {
    import: (files, { validateOnly }) =>
      inTurn(async () => {
        const { policies, problems } = await parsePolicies(files);
        const keys = policies.map(({ key }) => key);
        const known = byKey();
        refuseOwned(keys.map((key) => known.get(key)));
        if (!validateOnly && problems.length === 0) await replace({ upsert: policies, delete: [] });
        return { revision: engine.revision, problems, keys };
      }),
    delete: (selection) =>
      inTurn(async () => {
        const { keys, problems } = await selectedKeys(selection, () => engine.policies());
        const known = byKey();
        refuseOwned(keys.map((key) => known.get(key)));
        if (problems.length === 0) await replace({ upsert: [], delete: keys });
        return { revision: engine.revision, problems, keys };
      }),
    sync: (owned) =>
      inTurn(async () => {
        const parsed = await parsePolicies(owned.files);
        const { refused, ...change } = changeOf(owned, { parsed, known: byKey() });
        if (change.upsert.length + change.delete.length > 0) await replace(change);
        return refused;
      }),
  };
}
