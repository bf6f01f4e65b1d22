// SPDX-License-Identifier: Apache-2.0
// Renders the chart as helm does, with Go's templates and sprig, for tests on machines without helm.
export { chartRendererSkipReason, renderChart, type RenderOptions, type RenderedFile } from './render-chart.ts';
