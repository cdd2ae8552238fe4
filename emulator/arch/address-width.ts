/** MAXPHYADDR as CPUID 80000008H:EAX[7:0] announces it; the reserved bits of every table entry follow from it. */
export const PHYSICAL_ADDRESS_BITS = 39;
/** Linear-address width, CPUID 80000008H:EAX[15:8]: 4-level paging. */
export const LINEAR_ADDRESS_BITS = 48;
