// SPDX-License-Identifier: Apache-2.0
// What every service does alike: reads its command line, starts, logs why it cannot, and stops when it is asked to.
export { checkedFlag, choiceFlag, readCommandLine, type CommandLine } from './command-line.ts';
export { startMetricsServer, type MetricsServer, type MetricsServerOptions } from './metrics-server.ts';
export { addTlsFlags, tlsFromFlags, type TlsFilePaths, type TlsFlags } from './tls-flags.ts';
export { runService, type RunningService, type ServiceDescription } from './run-service.ts';
