// SPDX-License-Identifier: Apache-2.0
// Who may import whom, in three dimensions. Every project carries one `scope:`, one `layer:` and one `runtime:` tag in
// its package.json; every constraint whose source tag a project carries must hold. A project without tags may import
// nothing. `tools/tidy` holds a test that a forbidden import really fails.

const scopes = [
  { sourceTag: 'scope:agent', onlyDependOnLibsWithTags: ['scope:agent', 'scope:datapath', 'scope:shared'] },
  { sourceTag: 'scope:proxy', onlyDependOnLibsWithTags: ['scope:proxy', 'scope:datapath', 'scope:shared'] },
  { sourceTag: 'scope:operator', onlyDependOnLibsWithTags: ['scope:operator', 'scope:shared'] },
  { sourceTag: 'scope:identity', onlyDependOnLibsWithTags: ['scope:identity', 'scope:shared'] },
  { sourceTag: 'scope:monitor', onlyDependOnLibsWithTags: ['scope:monitor', 'scope:shared'] },
  { sourceTag: 'scope:cli', onlyDependOnLibsWithTags: ['scope:cli', 'scope:shared'] },
  { sourceTag: 'scope:datapath', onlyDependOnLibsWithTags: ['scope:datapath', 'scope:shared'] },
  { sourceTag: 'scope:shared', onlyDependOnLibsWithTags: ['scope:shared'] },
  { sourceTag: 'scope:tooling', onlyDependOnLibsWithTags: ['scope:tooling', 'scope:datapath', 'scope:shared'] },
];

const layers = {
  'layer:app': ['layer:feature', 'layer:loader', 'layer:port', 'layer:wire', 'layer:domain', 'layer:util'],
  'layer:feature': ['layer:port', 'layer:wire', 'layer:domain', 'layer:util'],
  'layer:loader': ['layer:loader', 'layer:port', 'layer:domain', 'layer:util'],
  'layer:port': ['layer:port', 'layer:domain', 'layer:util'],
  'layer:wire': ['layer:wire', 'layer:domain', 'layer:util'],
  'layer:domain': ['layer:domain', 'layer:util'],
  'layer:util': ['layer:util'],
  'layer:testing': ['layer:testing', 'layer:loader', 'layer:port', 'layer:wire', 'layer:domain', 'layer:util'],
  'layer:tool': [
    'layer:tool',
    'layer:testing',
    'layer:loader',
    'layer:port',
    'layer:wire',
    'layer:domain',
    'layer:util',
  ],
};

const runtimes = [
  { sourceTag: 'runtime:pure', onlyDependOnLibsWithTags: ['runtime:pure'] },
  { sourceTag: 'runtime:node', onlyDependOnLibsWithTags: ['runtime:pure', 'runtime:node'] },
  { sourceTag: 'runtime:kernel', onlyDependOnLibsWithTags: ['runtime:pure', 'runtime:node', 'runtime:kernel'] },
];

const layerConstraints = (extra) =>
  Object.entries(layers).map(([sourceTag, allowed]) => ({
    sourceTag,
    onlyDependOnLibsWithTags: [...allowed, ...extra],
  }));

export const depConstraints = [...scopes, ...layerConstraints([]), ...runtimes];

// Tests may use `testing` projects, and the tests of pure code may use helpers that need Node.
export const testDepConstraints = [
  ...scopes.map((s) => ({ ...s, onlyDependOnLibsWithTags: [...s.onlyDependOnLibsWithTags, 'scope:tooling'] })),
  ...layerConstraints(['layer:testing', 'layer:tool']),
];
