/**
 * The static preview that stands above a widget in JupyterLab and Notebook 7, hidden while the
 * widget is alive. It is known by the comment that `matir_nb.exports.jpeg` writes into
 * its JPEG: JupyterLab gives images in outputs neither an id nor an alternative text.
 */

export const COMMENT = "matir preview";
/** The comment is among the first segments; base64 letters that surely hold it. */
const HEAD = 4096;

/** Whether an image address is a data URI of our preview. */
export function isPreview(address: string): boolean {
  const letters = /^data:image\/jpeg;base64,([\w+/=\s]*)$/.exec(address.slice(0, HEAD))?.[1];
  if (letters === undefined) return false;
  const whole = letters.replace(/[\s=]/g, "");
  return atob(whole.slice(0, whole.length - (whole.length % 4))).includes(COMMENT);
}

/** Hide the preview above `el`, now or once it is there; returns what shows it again. */
export function hidePreview(el: HTMLElement): () => void {
  let hidden: HTMLElement | undefined;
  // The output area puts the widget's area in place only after `render` returned.
  const frame = requestAnimationFrame(() => {
    const above = el.closest(".jp-OutputArea-child")?.previousElementSibling;
    const image = above?.querySelector("img");
    if (above instanceof HTMLElement && image && isPreview(image.src)) {
      above.style.display = "none";
      hidden = above;
    }
  });
  return () => {
    cancelAnimationFrame(frame);
    hidden?.style.removeProperty("display");
  };
}
