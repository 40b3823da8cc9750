/**
 * The browser's end of the widget protocol without Jupyter: models with the methods that an
 * anywidget front-end module (AFM) may use, over the web socket of bridge.py.
 */

const socket = new WebSocket(`ws://${location.host}/socket`);
const opened = new Promise((resolve) => socket.addEventListener("open", resolve));
socket.binaryType = "arraybuffer";
const models = new Map();

function put(state, path, value) {
  const inner = path.slice(0, -1).reduce((at, key) => at[key], state);
  inner[path.at(-1)] = value;
}

class Model {
  state = {};
  #id;
  #dirty = new Set();
  #listeners = new Map();

  constructor(id) {
    this.#id = id;
    this.ready = new Promise((resolve) => {
      this.opened = resolve;
    });
  }

  get(name) {
    return this.state[name];
  }

  set(name, value) {
    const changes = typeof name === "string" ? { [name]: value } : name;
    for (const key of Object.keys(changes)) this.#dirty.add(key);
    this.#assign(changes);
  }

  save_changes() {
    const state = Object.fromEntries([...this.#dirty].map((key) => [key, this.state[key]]));
    this.#dirty.clear();
    if (Object.keys(state).length > 0) this.post({ method: "update", state, buffer_paths: [] });
  }

  send(content) {
    this.post({ method: "custom", content });
  }

  on(names, listener) {
    for (const name of names.split(" ")) {
      if (!this.#listeners.has(name)) this.#listeners.set(name, new Set());
      this.#listeners.get(name).add(listener);
    }
  }

  off(names, listener) {
    if (names == null) {
      this.#listeners.clear();
      return;
    }
    for (const name of names.split(" ")) {
      if (listener == null) this.#listeners.delete(name);
      else this.#listeners.get(name)?.delete(listener);
    }
  }

  post(data) {
    socket.send(JSON.stringify({ model: this.#id, data }));
  }

  hear(data, buffers) {
    if (data.method === "custom") {
      this.#emit("msg:custom", data.content, buffers);
    } else if (data.method === "open" || data.method === "update") {
      data.buffer_paths?.forEach((path, i) => {
        put(data.state, path, buffers[i]);
      });
      this.#assign(data.state);
      if (data.method === "open") this.opened();
    }
  }

  #assign(changes) {
    const changed = Object.keys(changes).filter(
      (key) => JSON.stringify(this.state[key]) !== JSON.stringify(changes[key]) ||
        changes[key] instanceof DataView,
    );
    for (const key of changed) this.state[key] = changes[key];
    for (const key of changed) this.#emit(`change:${key}`, this, this.state[key]);
    if (changed.length > 0) this.#emit("change", this);
  }

  #emit(name, ...values) {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) listener(...values);
  }
}

let waiting = null;
socket.addEventListener("message", ({ data }) => {
  if (typeof data === "string") waiting = { ...JSON.parse(data), buffers: [] };
  else waiting.buffers.push(new DataView(data));
  if (waiting.buffers.length === waiting.n_buffers) {
    models.get(waiting.model)?.hear(waiting.data, waiting.buffers);
  }
});

async function modelOf(id) {
  await opened;
  if (!models.has(id)) {
    const model = new Model(id);
    models.set(id, model);
    model.post({ method: "open" });
  }
  await models.get(id).ready;
  return models.get(id);
}

/** Show a widget; resolves to what takes it away again. */
async function mount(id) {
  const model = await modelOf(id);
  const style = document.createElement("style");
  style.textContent = model.get("_css") ?? "";
  document.head.append(style);
  const url = URL.createObjectURL(new Blob([model.get("_esm")], { type: "text/javascript" }));
  let { default: widget } = await import(url);
  URL.revokeObjectURL(url);
  if (typeof widget === "function") widget = await widget();
  const el = document.createElement("div");
  el.dataset.model = id;
  document.querySelector("main").append(el);
  const controller = new AbortController();
  const end = await widget.initialize?.({ model });
  const cleanup = await widget.render({ model, el, signal: controller.signal });
  return () => {
    controller.abort();
    cleanup?.();
    end?.();
    el.remove();
    style.remove();
  };
}

globalThis.host = { mount, models };
