import { TpmWriter } from '../buffer';
import { command, type CommandRow } from '../command';
import { Capability, Cc, Ht, Rc } from '../constants';
import { algorithmProperties, tpmProperties } from '../properties';
import { curveIds } from '../ecc';
import { failParameter } from '../error';
import { u32 } from '../parameters';
import { PCR_COUNT, PCR_SELECT, writeSelections } from '../pcrs';
import { Rh } from '../constants';
import type { TpmState } from '../tpm-state';

/** Bytes that a TPMS_CAPABILITY_DATA may have (MAX_CAP_BUFFER) less its own header */
const MOST_BYTES = 1024 - 8;

/** TPM2_GetCapability (Part 3, clause 30.2): `commands` is the table that it reports. */
export const capabilityCommand = (commands: () => readonly CommandRow[]): CommandRow =>
  command(
    Cc.GetCapability,
    'GetCapability',
    { parameters: [u32, u32, u32] },
    ({ tpm, out }, capability, property, count) => {
      if (capability === Capability.PCRS) {
        writeBanks(out.u8(0).u32(capability), tpm);
        return;
      }
      const { items, size } = listOf(tpm, capability, property, commands);
      const most = Math.min(count, Math.floor(MOST_BYTES / size));
      const shown = items.slice(0, most);
      out
        .u8(items.length > most ? 1 : 0)
        .u32(capability)
        .u32(shown.length);
      for (const item of shown) out.raw(item);
    },
  );

function writeBanks(out: TpmWriter, tpm: TpmState): void {
  const all = 2 ** PCR_COUNT - 1;
  writeSelections(
    out,
    tpm.pcrs.banks.map((alg) => ({ alg, mask: all, octets: PCR_SELECT })),
  );
}

type List = { readonly items: readonly Uint8Array[]; readonly size: number };

const list = (size: number, items: readonly Uint8Array[]): List => ({ items, size });
const from =
  (first: number) =>
  ([key]: readonly [number, unknown]): boolean =>
    key >= first;
const pair = ([key, value]: readonly [number, number]): Uint8Array => new TpmWriter().u32(key).u32(value).finish();

function listOf(tpm: TpmState, capability: number, first: number, commands: () => readonly CommandRow[]): List {
  switch (capability) {
    case Capability.ALGS:
      return list(
        6,
        algorithmProperties()
          .filter(from(first))
          .map(([alg, attributes]) => new TpmWriter().u16(alg).u32(attributes).finish()),
      );
    case Capability.HANDLES:
      return list(
        4,
        handlesOf(tpm, first).map((handle) => new TpmWriter().u32(handle).finish()),
      );
    case Capability.COMMANDS:
      return list(
        4,
        commands()
          .filter(({ code }) => code >= first)
          .sort((a, b) => a.code - b.code)
          .map((row) => new TpmWriter().u32(commandAttributes(row)).finish()),
      );
    case Capability.PP_COMMANDS:
    case Capability.AUDIT_COMMANDS:
      return list(4, []);
    case Capability.TPM_PROPERTIES:
      return list(8, tpmProperties(tpm, commands().length).filter(from(first)).map(pair));
    case Capability.PCR_PROPERTIES:
      return list(8, pcrProperties(tpm, first));
    case Capability.ECC_CURVES:
      return list(
        2,
        curveIds()
          .filter((curve) => curve >= first)
          .map((curve) => new TpmWriter().u16(curve).finish()),
      );
    default:
      return failParameter(Rc.VALUE, 1);
  }
}

/** TPMA_CC (Part 2, clause 8.9) */
function commandAttributes(row: CommandRow): number {
  const bit = (set: boolean, n: number): number => (set ? 1 << n : 0);
  return (
    row.code |
    bit(row.nv, 22) |
    bit(row.extensive, 23) |
    bit(row.flushed, 24) |
    (row.handles.length << 25) |
    bit(row.resultHandle, 28)
  );
}

function pcrProperties(tpm: TpmState, first: number): Uint8Array[] {
  const items: Uint8Array[] = [];
  for (let property = first; property <= 0x14; property++) {
    const mask = tpm.pcrs.withProperty(property);
    if (mask === undefined) continue;
    const out = new TpmWriter().u32(property).u8(PCR_SELECT);
    for (let i = 0; i < PCR_SELECT; i++) out.u8((mask >>> (8 * i)) & 0xff);
    items.push(out.finish());
  }
  return items;
}

/** The handles of the type in the upper byte, from `first` */
function handlesOf(tpm: TpmState, first: number): number[] {
  const since = (handles: Iterable<number>): number[] =>
    [...handles].filter((handle) => handle >= first).sort((a, b) => a - b);
  const count = (handle: number): number => handle & 0xffffff;
  switch (first >>> 24) {
    case Ht.PCR:
      return since(Array.from({ length: PCR_COUNT }, (_, pcr) => pcr));
    case Ht.NV_INDEX:
      return since(tpm.nv.indexes.keys());
    // TPM_HT_LOADED_SESSION and TPM_HT_SAVED_SESSION have the same numbers as the types of handles.
    case Ht.HMAC_SESSION:
      return tpm.sessions.handles(false).filter((handle) => count(handle) >= count(first));
    case Ht.POLICY_SESSION:
      return tpm.sessions.handles(true).filter((handle) => count(handle) >= count(first));
    case Ht.PERMANENT:
      return since(Object.values(Rh).filter((handle) => handle !== Rh.UNASSIGNED));
    case Ht.TRANSIENT:
      return since(tpm.objects.handles());
    case Ht.PERSISTENT:
      return since(tpm.nv.persistent.keys());
    default:
      return failParameter(Rc.HANDLE, 2);
  }
}
