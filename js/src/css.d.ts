/** Importing a style sheet gives its text (see build.mjs). */

declare module "*.css" {
  const text: string;
  export default text;
}
