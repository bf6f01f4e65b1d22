// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { parseCommandLine } from './options.ts';

describe('parseCommandLine', () => {
  it('listens on loopback and asks the node that it runs on, unless told otherwise', () => {
    expect(parseCommandLine(['--node-name', 'r'])).toEqual({
      kind: 'run',
      options: {
        ...{ nodeName: 'r', peerService: 'unix:/run/weir/hubble.sock', listen: ['127.0.0.1:4245'] },
        ...{ plaintext: 'loopback', logLevel: 'info', tls: undefined, peerServerName: undefined },
        ...{ metrics: undefined, flowMetrics: [], flowMetricsContext: [], export: undefined },
        page: undefined,
      },
    });
  });

  it('listens only where it is told to, as often as that is', () => {
    const line = parseCommandLine(['--listen', 'unix:/a.sock', '--listen', '[::1]:1']);
    expect(line).toMatchObject({ options: { listen: ['unix:/a.sock', '[::1]:1'] } });
  });

  it('exports traces where it is told to', () => {
    const flags = ['--otlp-endpoint', 'grpc://c:4317', '--zipkin-endpoint', 'http://z/api/v2/spans'];
    expect(parseCommandLine([...flags, '--trace-sample-ratio', '0.5'])).toMatchObject({
      options: {
        export: {
          otlp: { kind: 'grpc', url: 'http://c:4317', isEncrypted: false },
          ...{ zipkin: 'http://z/api/v2/spans', signals: ['traces'] },
          ...{ sampleRatio: 0.5, rateMax: 1_000, queueMax: 8_192 },
        },
      },
    });
  });

  it('serves the page on this machine as it is, and elsewhere with TLS and a token', () => {
    const pageOf = (...flags: string[]) => parseCommandLine(['--page-listen', ...flags]);
    expect(pageOf('127.0.0.1:8080')).toMatchObject({
      options: { page: { host: '127.0.0.1', port: 8080, tls: undefined, tokenFile: undefined } },
    });
    const secured = ['--page-token-file', 't', '--page-tls-cert', 'c', '--page-tls-key', 'k'];
    expect(pageOf('10.0.0.1:443', ...secured)).toMatchObject({
      options: { page: { host: '10.0.0.1', port: 443, tls: { certificate: 'c', key: 'k' }, tokenFile: 't' } },
    });
    expect(pageOf('[::]:80', '--page-token-file', 't', '--page-plaintext', 'anywhere')).toMatchObject({
      options: { page: { host: '::', tls: undefined, tokenFile: 't' } },
    });
  });

  it.each([
    [['--page-listen', '0.0.0.0:80'], /--page-listen "0.0.0.0:80" can be reached.*it needs --page-token-file$/m],
    [['--page-listen', '[::]:80', '--page-plaintext', 'anywhere'], /it needs --page-token-file/],
    [
      ['--page-listen', 'host:80', '--page-token-file', 't'],
      /needs --page-tls-cert and --page-tls-key, or --page-plain/,
    ],
    [['--page-listen', '127.0.0.1:1', '--page-tls-cert', 'c'], /--page-tls-key is missing/],
    [['--page-token-file', 't'], /--page-token-file needs --page-listen/],
    [['--page-listen', 'unix:/x'], /--page-listen.*is a unix socket/],
    [['--listen', 'nowhere'], /--listen.*"nowhere" is neither/],
    [['--peer-service', 'unix:x'], /--peer-service.*absolute path/],
    [['--tls-ca', 'ca.crt'], /--tls-cert and --tls-key is missing/],
    [
      ['--peer-service', 'h:1', '--tls-ca', 'a', '--tls-cert', 'b', '--tls-key', 'c'],
      /--peer-service "h:1" needs --peer-server-name/,
    ],
    [['--flow-metrics', 'drop'], /--flow-metrics needs --metrics/],
    [['--metrics', 'unix:/x'], /--metrics.*is a unix socket/],
    [['--flow-metrics', 'drop,nope'], /--flow-metrics.*"nope" is none of drop, flow/],
    [['--export', 'logs'], /--export logs needs --otlp-endpoint/],
    [['--export', 'metrics'], /--export metrics needs --otlp-endpoint/],
    [['--export', 'x'], /--export.*"x" is none of traces, logs, metrics/],
    [['--otlp-endpoint', 'host:4317'], /--otlp-endpoint.*neither grpc/],
    [['--zipkin-endpoint', 'ftp://x'], /--zipkin-endpoint.*no URL of http/],
    [['--trace-sample-ratio', '2'], /--trace-sample-ratio.*from 0 to 1/],
    [['--plaintext', 'maybe'], /--plaintext.*maybe/],
  ])('refuses %j', (args, message) => {
    expect(parseCommandLine(args)).toMatchObject({ kind: 'exit', status: 2, output: expect.stringMatching(message) });
  });
});
