import type { Context } from '../../emulator/machine/api';
import type { Debuggee } from '../launch/debuggee';
import { linearRip, linearRsp } from '../stack/layers';
import type { Phrase } from './verb';

/**
 * Runs until the context is at one of these addresses with its stack at or above `sp` (not in a deeper frame of a
 * recursion). Other contexts that come along the same linear addresses are let through.
 */
export function* runTo(debuggee: Debuggee, context: Context, addresses: readonly bigint[], sp: bigint): Phrase<void> {
  const stops = new Set(addresses);
  for (;;) {
    const arrival = yield { stops };
    if (arrival.why !== 'stop') continue;
    const here = debuggee.running(context.vcpu);
    if (here.id === context.id && stops.has(linearRip(here)) && linearRsp(here) >= sp) return;
  }
}

/** Runs until the context runs again after a VM exit or entry took the processor from it. */
export function* runUntilBack(debuggee: Debuggee, context: Context): Phrase<void> {
  while (debuggee.running(context.vcpu).id !== context.id) yield { context: context.id };
}
