// SPDX-License-Identifier: Apache-2.0
import { createLab, type Lab, type UpOptions } from '@weir/lab';

/** Brings up a lab of its own for a part, and takes it down whatever happens. */
export async function withLab<Result>(
  name: string,
  task: (lab: Lab) => Promise<Result>,
  options: UpOptions = {},
): Promise<Result> {
  const lab = createLab({ name });
  // One of that name is what a benchmark left that was killed: its pods and policies are not what is measured.
  await lab.down();
  try {
    await lab.up(options);
    return await task(lab);
  } finally {
    await lab.down();
  }
}
