/** What a flush of cached translations covers (SDM vol. 3, 4.10.4.1 and 29.4.3). */
export const enum FlushScope {
  All,
  /** `first`: the VPID */
  Vpid,
  /** `first`: the VPID */
  VpidButGlobal,
  /** `first`: the VPID, `second`: the PCID */
  Pcid,
  AllVpids,
  /** `first`: EPTP bits 51:12 */
  EptRoot,
  AllEptRoots,
  /** `first`: the VPID, `second`: the linear address, to 53 bits */
  Page,
}

const hex = (value: number): string => `0x${value.toString(16)}`;

/** "VPID 1 without global pages" */
export function describeFlush(scope: FlushScope, first: number, second: number): string {
  switch (scope) {
    case FlushScope.All:
      return 'all';
    case FlushScope.Vpid:
      return `VPID ${first}`;
    case FlushScope.VpidButGlobal:
      return `VPID ${first} without global pages`;
    case FlushScope.Pcid:
      return `VPID ${first}, PCID ${hex(second)}, without global pages`;
    case FlushScope.AllVpids:
      return 'all VPIDs but 0';
    case FlushScope.EptRoot:
      return `EPT root ${hex(first * 4096)}`;
    case FlushScope.AllEptRoots:
      return 'all EPT roots';
    case FlushScope.Page:
      return `VPID ${first}, page ${hex(second)}`;
  }
}
