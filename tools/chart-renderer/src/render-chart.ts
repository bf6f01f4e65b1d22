// SPDX-License-Identifier: Apache-2.0
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WeirError } from '@weir/errors';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const source = fileURLToPath(new URL('render.go', import.meta.url));
const program = join(root, 'node_modules/.cache/chart-renderer/render');
// Where Debian puts sources of libraries in Go.
const libraries = '/usr/share/gocode';

/** Why there is no rendering on this machine; undefined: there is. */
export const chartRendererSkipReason: string | undefined =
  spawnSync('go', ['version']).status !== 0
    ? 'Go is not installed (golang-go)'
    : existsSync(join(libraries, 'src/github.com/Masterminds/sprig'))
      ? undefined
      : 'sprig is not installed (golang-github-masterminds-sprig-dev)';

export interface RenderOptions {
  readonly values?: object;
  readonly namespace?: string;
  /** What the server has, like `policy/v1/PodDisruptionBudget`. */
  readonly apiVersions?: readonly string[];
}

/** What became of one template. */
export interface RenderedFile {
  readonly name: string;
  readonly text: string;
}

function build(): void {
  if (existsSync(program) && statSync(program).mtimeMs > statSync(source).mtimeMs) return;
  mkdirSync(dirname(program), { recursive: true });
  const env = {
    ...process.env,
    GO111MODULE: 'off',
    GOPATH: libraries,
    GOCACHE: join(dirname(program), 'go'),
    CGO_ENABLED: '0',
  };
  execFileSync('go', ['build', '-o', `${program}.${process.pid}`, source], { env });
  renameSync(`${program}.${process.pid}`, program);
}

/** Renders `charts/weir` for a release `weir`. INVALID_ARGUMENT with what a template says of values that it refuses. */
export function renderChart(options: RenderOptions = {}): readonly RenderedFile[] {
  const { values = {}, namespace = 'kube-system', apiVersions = [] } = options;
  build();
  const release = { Name: 'weir', Namespace: namespace, Service: 'Helm' };
  const input = JSON.stringify({ chart: join(root, 'charts/weir'), values, release, apiVersions });
  const answer = JSON.parse(execFileSync(program, { input, encoding: 'utf8' })) as {
    readonly files?: readonly RenderedFile[];
    readonly error?: string;
  };
  if (answer.files !== undefined) return answer.files;
  throw new WeirError('INVALID_ARGUMENT', `The chart is not rendered: ${answer.error}`);
}
