import { EXCEPTIONS } from '../../emulator/arch/exceptions';
import type { Debuggee } from '../launch/debuggee';
import { watchRows, type HeadlessRow } from '../launch/headless';
import { hex } from '../memory/reference';
import { describeProbe, isPageProbe } from '../watch/page-probes';
import type { ExportRow, MoreRow } from './row';

type ToldRow = Exclude<HeadlessRow, { kind: 'recorded' }> & { handler?: string };

/** Rows of a headless run that say themselves whose they are */
const vcpuOf = (row: ToldRow | MoreRow, running: number): number =>
  'vcpu' in row && typeof row.vcpu === 'number' ? row.vcpu : running;

/** Hears of everything that an export tells of a run, stamped. To be called before the machine runs. */
export function exportRows(debuggee: Debuggee, write: (row: ExportRow) => void): void {
  const { machine, layers } = debuggee;
  const stamped = (row: ToldRow | MoreRow, vcpu = vcpuOf(row, machine.runningVcpu)): ExportRow => ({
    ...row,
    // A VM exit is told before it is complete, with the moment behind it.
    moment: 'moment' in row ? row.moment : machine.moment,
    time: machine.vcpus[vcpu]?.clock ?? 0,
    vcpu,
  });
  const layerOf = (vcpu: number) => layers.nameOf(machine.running(vcpu));
  watchRows(debuggee, (row) => {
    if (row.kind === 'recorded') return;
    write(stamped(row.kind === 'exit' ? { ...row, handler: layerOf(row.vcpu) } : row));
  });
  debuggee.watcher.probe = (hit) => {
    if (isPageProbe(hit)) return;
    const layer = layers.nameOf(hit.context);
    write(stamped({ kind: 'probe', layer, name: hit.probe.name, text: describeProbe(hit) }, hit.context.vcpu));
  };
  machine.addTaps({
    interrupt: (vector, vcpu) => write(stamped({ kind: 'interrupt', layer: layerOf(vcpu), vector }, vcpu)),
    exception: (vector, errorCode, linear, vcpu) =>
      write(
        stamped(
          {
            kind: 'exception',
            layer: layerOf(vcpu),
            vector,
            name: EXCEPTIONS.find((row) => row.vector === vector)?.mnemonic ?? `exception ${vector}`,
            ...(errorCode === undefined ? {} : { errorCode }),
            ...(vector === PAGE_FAULT ? { linear: hex(linear) } : {}),
          },
          vcpu,
        ),
      ),
    dma: ({ requester, hostPhysical, length, write: writes, blocked }) =>
      write(
        stamped({
          kind: 'dma',
          layer: layerOf(machine.runningVcpu),
          requester: requesterName(requester),
          ...(hostPhysical < 0 ? {} : { hpa: hex(BigInt(hostPhysical)) }),
          length,
          write: writes,
          ...(blocked === undefined ? {} : { blocked }),
        }),
      ),
  });
}

const PAGE_FAULT = 14;

/** "00:1f.2" as lspci has it */
const requesterName = (id: number): string => {
  const two = (value: number) => value.toString(16).padStart(2, '0');
  return `${two(id >> 8)}:${two((id >> 3) & 31)}.${id & 7}`;
};
