/** Names that are nobody else's: several views, and several copies of this code, share one page. */

/** "matir-grid-x1y2z3"; for ids of elements and of requests. */
export function freshId(name: string): string {
  return `matir-${name}-${Math.random().toString(36).slice(2, 10)}`;
}
