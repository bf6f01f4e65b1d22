// SPDX-License-Identifier: Apache-2.0
import { parseRpcAddress } from '@weir/rpc';
import { checkedFlag } from '@weir/service';
import { prepareCommands } from '@weir/terminal';
import { Command, Option } from 'commander';
import packageJson from '../package.json' with { type: 'json' };
import { defaultAddress } from './agent.ts';
import { addBpfCommands } from './commands/bpf.ts';
import { addEndpointCommands } from './commands/endpoint.ts';
import { addIdentityCommands } from './commands/identity.ts';
import { addMonitorCommand } from './commands/monitor.ts';
import { addOperatorCommands } from './commands/operator.ts';
import { addNodeCommands } from './commands/node.ts';
import { addObserveCommand } from './commands/observe.ts';
import { addPolicyCommands } from './commands/policy.ts';
import { addServiceCommands } from './commands/service.ts';
import { addStatusCommand } from './commands/status.ts';

const examples = `
Examples:
  weir status
  weir endpoint list
  weir policy import examples/star-wars/l7-policy.yaml
  weir service update web --frontend 10.96.0.1:80 --backend 10.244.0.5:8080
  weir monitor --type drop --type l7
  weir observe --verdict DROPPED -f
  weir bpf ct list -o json
  weir lab up                      nodes and pods on this machine, to try things out

Exit status: 0 done, 1 failed, 2 wrong usage.`;

/** The whole command line. Parsing throws commander's errors instead of leaving. */
export function createProgram(): Command {
  const program = new Command('weir')
    .description('Asks and tells the Weir agent of this node')
    .version(packageJson.version)
    .addOption(
      new Option('--address <address>', 'of the agent: unix:/path or host:port')
        .env('WEIR_ADDRESS')
        .default(defaultAddress)
        .argParser(checkedFlag((text) => (parseRpcAddress(text), text))),
    )
    .addHelpText('after', examples)
    .exitOverride();
  addStatusCommand(program);
  addEndpointCommands(program);
  addIdentityCommands(program);
  addOperatorCommands(program);
  addNodeCommands(program);
  addPolicyCommands(program);
  addServiceCommands(program);
  addBpfCommands(program);
  addMonitorCommand(program);
  addObserveCommand(program);
  // Carried out by the launcher: the lab is a tool of its own.
  program.command('lab').description('nodes and pods on this machine, made of network namespaces').allowUnknownOption();
  prepareCommands(program);
  return program;
}
