// SPDX-License-Identifier: Apache-2.0
// The thread that reads large policy files: see parse-policies.ts. Lives for one import.
import { parentPort, workerData } from 'node:worker_threads';
import { parsePolicyFiles, type PolicyFile } from '@weir/policy';

parentPort?.postMessage(parsePolicyFiles(workerData as readonly PolicyFile[]));
