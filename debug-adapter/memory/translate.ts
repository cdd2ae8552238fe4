import type { Context, Walk } from '../../emulator/machine/api';
import type { Debuggee } from '../launch/debuggee';
import type { TranslateArguments, TranslateResponse } from '../protocol/requests';
import { silentError } from '../session/errors';
import { targetOf } from './access';
import { hex } from './reference';

/** undervisor/translate: every step from an address of a context to host-physical memory. */
export function translate(args: TranslateArguments, debuggee: Debuggee, context: Context): TranslateResponse {
  const target = targetOf(args.address, debuggee.machine, context);
  if (args.requester !== undefined) return translateDma(args.requester, target.reference.address, debuggee, context);
  const kind = args.address.includes(':') ? target.reference.kind : (args.space ?? 'linear');
  if (kind !== 'linear' && kind !== 'guest-physical') throw silentError(`cannot translate a ${kind} address`);
  const { address } = target.reference;
  const walk: Walk = debuggee.machine.walk({ ...target.space, kind }, address);
  return {
    layer: debuggee.layers.nameOf(target.context),
    ...(kind === 'linear' ? { linear: hex(address) } : {}),
    ...answerOf(walk),
  };
}

/** What a device would reach: no layer's address space is asked, but the tables of the IOMMU. */
function translateDma(requester: number, address: bigint, debuggee: Debuggee, context: Context): TranslateResponse {
  if (!Number.isInteger(requester) || requester < 0 || requester > 0xffff) {
    throw silentError('"requester" must be a PCI requester ID from 0 to 0xffff: bus << 8 | device << 3 | function');
  }
  return { layer: debuggee.layers.nameOf(context), ...answerOf(debuggee.machine.dmaTranslate(requester, address)) };
}

function answerOf(walk: Walk): Omit<TranslateResponse, 'layer' | 'linear'> {
  return {
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
