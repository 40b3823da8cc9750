/** What keys and clicks on the tiles do to the session. */

import { turnLayer } from "../controls";
import { markTargets, setMark } from "../marks";
import type { MarkName } from "../protocol";
import type { Session } from "../session";
import { type Action, actionOf, type Command } from "./keys";
import { positionAfter, TILE_PX } from "./layout";
import { picked, pickedAll, pickOf } from "./selection";
import { type Toolbar, togglePanel } from "./toolbar";
import type { TileWindow } from "./window";

const RESIZE = 1.2;

export class Commands {
  /** Where a range of the selection starts. */
  #anchor = "";

  constructor(
    private readonly session: Session,
    private readonly tiles: TileWindow,
    private readonly toolbar: Toolbar,
    private readonly foot: { judge(): void },
  ) {
    tiles.el.addEventListener("keydown", (event) => this.#onKey(event));
    tiles.el.addEventListener("click", (event) => this.#onClick(event));
    tiles.el.addEventListener("dblclick", (event) => {
      if (this.#idAt(event) !== null) session.set("panel", "inspector");
    });
  }

  #onKey(event: KeyboardEvent): void {
    const action = actionOf(event);
    if (action === null || !this.#run(action, event.repeat)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Whether the key did something. */
  #run(action: Action, repeat: boolean): boolean {
    if (action.kind === "move") return this.#move(action.key, action.extend, repeat);
    if (action.kind === "mark") return this.#mark(action.mark, action.advance);
    return this.#command(action.command);
  }

  #onClick(event: MouseEvent): void {
    const id = this.#idAt(event);
    if (id === null) return;
    const target = event.target as Element;
    if (target.closest(".matir-tile-message")?.textContent) this.tiles.retry();
    this.#pick(id, target.closest(".matir-check") ? "toggle" : pickOf(event));
    this.session.set("current", id);
  }

  #idAt(event: Event): string | null {
    const tile = (event.target as Element).closest<HTMLElement>(".matir-tile");
    return tile === null ? null : this.#idOf(Number(tile.dataset.row));
  }

  #idOf(row: number | undefined): string | null {
    return row === undefined ? null : (this.session.result?.columns.image_id[row] ?? null);
  }

  #shown(): string[] {
    return this.tiles.rows.map((row) => this.#idOf(row) ?? "");
  }

  #position(): number {
    const ids = this.session.result?.columns.image_id ?? [];
    return this.tiles.positionOf(ids.indexOf(this.session.get("current")));
  }

  #pick(id: string, how: "only" | "toggle" | "range"): void {
    const anchor = this.#anchor || this.session.get("current");
    const { session } = this;
    session.set("selection", picked(session.get("selection"), id, how, this.#shown(), anchor));
    this.#anchor = how === "range" ? anchor : id;
  }

  #move(key: string, extend: boolean, repeat: boolean): boolean {
    const { layout, rows, rowsOfPage } = this.tiles;
    const from = this.#position();
    const to = positionAfter(key, from, layout, rowsOfPage);
    const id = to === null ? null : this.#idOf(rows[to]);
    if (id === null) return false;
    if (extend) {
      if (this.#anchor === "" || !this.session.get("selection").includes(this.#anchor)) {
        this.#anchor = this.session.get("current") || id;
      }
      this.#pick(id, "range");
    }
    this.session.set("current", id, repeat ? "soon" : "now");
    return true;
  }

  /** Mark what is shown only: nothing that a filter hides. */
  #mark(mark: MarkName | null, advance: boolean): boolean {
    const shown = new Set(this.#shown());
    const ids = markTargets(this.session).filter((id) => shown.has(id));
    if (ids.length === 0) return false;
    setMark(this.session, mark, ids);
    if (advance) this.#move("ArrowRight", false, false);
    return true;
  }

  #command(command: Command): boolean {
    const { session } = this;
    const current = session.get("current");
    const commands: Record<Command, () => unknown> = {
      inspect: () => {
        if (this.#position() < 0) this.#move("Home", false, false);
        session.set("panel", "inspector");
      },
      close: () => this.close(),
      toggle: () => {
        if (this.#position() >= 0) this.#pick(current, "toggle");
      },
      "select all": () => {
        session.set("selection", pickedAll(session.get("selection"), this.#shown()));
      },
      masks: () => turnLayer(session, "m"),
      boxes: () => turnLayer(session, "b"),
      labels: () => turnLayer(session, "l"),
      stage1: () => session.set("order", "stage1"),
      final: () => session.set("order", "final"),
      larger: () => this.#resize(RESIZE),
      smaller: () => this.#resize(1 / RESIZE),
      inspector: () => togglePanel(session, "inspector"),
      flow: () => togglePanel(session, "flow"),
      judge: () => this.foot.judge(),
      help: () => this.toolbar.toggleHelp(),
    };
    if (command === "close" && !this.toolbar.isHelpOpen() && session.get("panel") === "") {
      return false;
    }
    commands[command]();
    return true;
  }

  /** Close what is open: the key help first, then the panel. */
  close(): void {
    if (this.toolbar.isHelpOpen()) this.toolbar.closeHelp();
    else this.session.set("panel", "");
  }

  #resize(factor: number): void {
    const wanted = Math.round(this.session.get("tile_px") * factor);
    const size = Math.min(Math.max(wanted, TILE_PX.min), TILE_PX.max);
    this.session.set("tile_px", size, "soon");
  }
}
