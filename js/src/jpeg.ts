/** Pictures as they come from the kernel, for `<img>`. */

/** An object URL of a JPEG; whoever asks for it revokes it. */
export function jpegUrl(bytes: DataView): string {
  return URL.createObjectURL(new Blob([bytes as DataView<ArrayBuffer>], { type: "image/jpeg" }));
}
