import type { Debuggee } from '../launch/debuggee';
import { hex } from '../memory/reference';
import type { LayerRow, LayersResponse } from '../protocol/requests';
import { describeLeft } from './call-stack';
import { formatSymbol, linearRip } from './layers';

/** undervisor/layers: all contexts that exist, in the order they were first entered. */
export function layerRows(debuggee: Debuggee): LayersResponse {
  const { machine, layers } = debuggee;
  return {
    layers: machine.contexts.map((context): LayerRow => {
      const pc = linearRip(context);
      const running = machine.running(context.vcpu).id === context.id;
      return {
        name: layers.nameOf(context),
        contextId: context.id,
        vcpu: context.vcpu,
        root: context.root,
        ...(context.vmcs === undefined ? {} : { vmcs: hex(context.vmcs) }),
        running,
        rip: hex(pc),
        symbol: formatSymbol(layers.symbolAt(context, pc), pc),
        ...(running || !context.lastLeft ? {} : { lastLeft: describeLeft(debuggee, context) }),
      };
    }),
  };
}
