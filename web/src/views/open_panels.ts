// The panels that are open: chosen by somebody, in the page or by its link, or else by what the recording has.

import { type Accessor, createSignal, type Setter } from "solid-js";

import type { Topic } from "../api/loader";
import { formatPanel, type Panel } from "../lib/link";
import { defaultPanels, type Range } from "./choices";

/** One that stays itself when what it shows changes. */
interface OpenPanel {
  readonly id: number;
  readonly panel: Accessor<Panel>;
  readonly change: (panel: Panel) => void;
}

export class OpenPanels {
  readonly all: Accessor<OpenPanel[]>;
  /** The one that somebody opened last; zero: none was. */
  readonly openedLast: Accessor<{ id: number }>;

  private readonly setAll: Setter<OpenPanel[]>;
  private readonly setOpenedLast: Setter<{ id: number }>;
  private lastId = 0;
  private isChosen: boolean;

  /** With the panels of the link, if it says which. */
  constructor(panels: readonly Panel[] | undefined) {
    this.isChosen = panels !== undefined;
    [this.all, this.setAll] = createSignal((panels ?? []).map((panel) => this.numbered(panel)));
    [this.openedLast, this.setOpenedLast] = createSignal({ id: 0 });
  }

  /** Those that somebody chose; undefined: nobody did. */
  get chosen(): Panel[] | undefined {
    return this.isChosen ? this.now : undefined;
  }

  get now(): Panel[] {
    return this.all().map(({ panel }) => panel());
  }

  /** Opens it, or goes to where it is open. */
  open(panel: Panel): void {
    this.isChosen = true;
    const same = this.all().find((one) => formatPanel(one.panel()) === formatPanel(panel));
    const opened = same ?? this.numbered(panel);
    if (same === undefined) this.setAll((panels) => [...panels, opened]);
    this.setOpenedLast({ id: opened.id });
  }

  close(id: number): void {
    this.isChosen = true;
    this.setAll((panels) => panels.filter((one) => one.id !== id));
  }

  /** Puts a field into the plot that is open, or into a new one. */
  plot(field: string): void {
    for (const { id, panel, change } of this.all()) {
      const now = panel();
      if (now.kind !== "plot") continue;
      if (!now.fields.includes(field)) change({ kind: "plot", fields: [...now.fields, field] });
      this.setOpenedLast({ id });
      return;
    }
    this.open({ kind: "plot", fields: [field] });
  }

  /** While nobody chose: one of each kind, as topics come to be known. What is open stays as it is. */
  openDefaults(topics: readonly Topic[], range: Range): void {
    if (this.isChosen) return;
    const kinds = new Set(this.now.map(({ kind }) => kind));
    const more = defaultPanels(topics, range).filter(({ kind }) => !kinds.has(kind));
    if (more.length > 0) this.setAll((panels) => [...panels, ...more.map((panel) => this.numbered(panel))]);
  }

  private numbered(panel: Panel): OpenPanel {
    const [now, change] = createSignal(panel);
    return { id: ++this.lastId, panel: now, change: (panel) => change(panel) };
  }
}
