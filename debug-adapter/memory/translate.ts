import type { Context, Walk } from '../../emulator/machine/api';
import type { Debuggee } from '../launch/debuggee';
import type { TranslateArguments, TranslateResponse } from '../protocol/requests';
import { silentError } from '../session/errors';
import { targetOf } from './access';
import { hex } from './reference';

/** undervisor/translate: every step from an address of a context to host-physical memory. */
export function translate(args: TranslateArguments, debuggee: Debuggee, context: Context): TranslateResponse {
  const target = targetOf(args.address, debuggee.machine, context);
  const kind = args.address.includes(':') ? target.reference.kind : (args.space ?? 'linear');
  if (kind !== 'linear' && kind !== 'guest-physical') throw silentError(`cannot translate a ${kind} address`);
  const { address } = target.reference;
  const walk: Walk = debuggee.machine.walk({ ...target.space, kind }, address);
  return {
    layer: debuggee.layers.nameOf(target.context),
    ...(kind === 'linear' ? { linear: hex(address) } : {}),
    ...(walk.guestPhysical === undefined ? {} : { guestPhysical: hex(walk.guestPhysical) }),
    ...(walk.hostPhysical === undefined ? {} : { hostPhysical: hex(walk.hostPhysical) }),
    steps: walk.steps.map((step) => ({
      name: step.name,
      table: step.table,
      level: step.level,
      entryAddress: hex(step.entryAddress),
      entry: hex(step.entry),
      input: hex(step.input),
      output: hex(step.output),
      flags: [...step.flags],
    })),
    ...(walk.failure === undefined ? {} : { failure: walk.failure }),
  };
}
