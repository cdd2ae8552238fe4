import type { LayerRow } from '../../debug-adapter/protocol/requests';

/** Status bar text for the layer that runs; the tooltip lists every layer with its place. */
export function statusOf(layers: readonly LayerRow[]): { text: string; tooltip: string } {
  const running = layers.find((layer) => layer.running);
  const place = ({ symbol, rip }: LayerRow) => symbol || rip;
  return {
    text: running ? `$(layers) ${running.name}: ${place(running)}` : '$(layers) no layer runs',
    tooltip: layers
      .map((layer) => {
        const mode = layer.root ? 'VMX root' : layer.vmcs ? `VMX non-root, VMCS ${layer.vmcs}` : 'no VMX';
        const left = layer.lastLeft && !layer.running ? `, left by ${layer.lastLeft}` : '';
        return `${layer.running ? '\u25b6 ' : ''}${layer.name} (vCPU ${layer.vcpu}, ${mode}) at ${place(layer)}${left}`;
      })
      .join('\n'),
  };
}
