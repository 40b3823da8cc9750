/**
 * Making elements: `h` for HTML, `s` for SVG. Strings become text nodes, never markup, so file
 * names, queries and answers can be passed as they are.
 */

const SVG = "http://www.w3.org/2000/svg";

export type Child = Node | string | number | null | undefined | false;

type Value = string | number | boolean | null | undefined;
type Handlers = {
  [Name in keyof HTMLElementEventMap as `on${Name}`]?:
    | ((event: HTMLElementEventMap[Name]) => void)
    | undefined;
};
/**
 * Attributes by name; `onclick` etc. take listeners. `true` sets an empty attribute; `false`,
 * null and undefined leave it out; in `aria-*` and `data-*` both booleans are written as words.
 */
export type Attributes = Handlers & { [name: string]: Value | ((event: never) => void) };

/** Make an HTML element. */
export function h<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes?: Attributes | null,
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  return fill(document.createElement(tag), attributes, children);
}

/** Make an SVG element. */
export function s<Tag extends keyof SVGElementTagNameMap>(
  tag: Tag,
  attributes?: Attributes | null,
  ...children: Child[]
): SVGElementTagNameMap[Tag] {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** Set, change or (false, null, undefined) remove one attribute. */
export function setAttribute(element: Element, name: string, value: Value): void {
  const isWord = name.startsWith("aria-") || name.startsWith("data-");
  if (value === null || value === undefined || (value === false && !isWord)) {
    element.removeAttribute(name);
  } else {
    element.setAttribute(name, value === true && !isWord ? "" : String(value));
  }
}

/** Put `children` in place of what `element` holds. */
export function replace(element: Element, ...children: Child[]): void {
  element.replaceChildren(...nodes(children));
}

function fill<Made extends Element>(
  element: Made,
  attributes: Attributes | null | undefined,
  children: Child[],
): Made {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") {
      element.addEventListener(name.slice(2), value as EventListener);
    } else {
      setAttribute(element, name, value);
    }
  }
  element.append(...nodes(children));
  return element;
}

function nodes(children: Child[]): (Node | string)[] {
  return children.flatMap((child) => {
    if (child === null || child === undefined || child === false) return [];
    return typeof child === "number" ? String(child) : child;
  });
}
