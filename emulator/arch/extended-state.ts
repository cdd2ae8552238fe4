/**
 * The state components of the XSAVE feature set (SDM vol. 1, chapter 13). Both lie in the legacy region, whose form is
 * that of FXSAVE (SDM vol. 1, 10.5.1); the area ends with the header, for no other component exists.
 */
export const StateComponent = { X87: 1n, SSE: 2n } as const;

/** What XCR0 may have set; bit 0 is always 1. */
export const SUPPORTED_COMPONENTS = StateComponent.X87 | StateComponent.SSE;

export const LEGACY_REGION_SIZE = 512;
export const XSAVE_HEADER = 512;
export const XSAVE_HEADER_SIZE = 64;
export const XSAVE_AREA_SIZE = LEGACY_REGION_SIZE + XSAVE_HEADER_SIZE;

/** Offsets in the legacy region */
export const Legacy = { FCW: 0, FTW: 4, MXCSR: 24, MXCSR_MASK: 28, X87: 32, XMM: 160, END: 416 } as const;

export const FCW_RESET = 0x40;
export const FCW_INITIAL = 0x37f;
/** All registers of the stack hold a value, zero (tag word 5555H, abridged) */
export const FTW_RESET = 0xff;
export const MXCSR_INITIAL = 0x1f80;
export const MXCSR_DEFINED = 0xffff;

/** Bit 63 of XCOMP_BV: the area has the compacted form. */
export const COMPACTED = 1n << 63n;

/** CPUID leaf 0DH, sub-leaf 1: XSAVEOPT, XSAVEC, XGETBV with ECX = 1, XSAVES and IA32_XSS */
export const XSAVE_FEATURES = 0xf;
