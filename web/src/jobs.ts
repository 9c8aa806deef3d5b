// The batch side: what each job does next, how its last runs went, and a button to run it now.
import { announce, attribute, h, sync, text } from './dom';
import { ask, runsOf, type JobInfo, type JobRun } from './api';
import { ago, clock, count, duration, instant } from './format';

const runsKept = 12;

interface Asked {
  busy: boolean;
  result: string;
  good: boolean;
}

const noJobs = 'This topology has no jobs.';

export class JobsView {
  readonly element: HTMLElement;
  private readonly list = h('div', { class: 'jobs' });
  private readonly empty = h('p', { class: 'empty' }, noJobs);
  private readonly seen = new Map<string, Map<string, JobRun>>();
  private readonly asked = new Map<string, Asked>();
  private jobs: JobInfo[] = [];

  constructor(private readonly refresh: () => void) {
    this.element = h('div', {}, this.list, this.empty);
    setInterval(() => this.draw(), 1000);
  }

  update(jobs: JobInfo[]): void {
    this.jobs = jobs;
    text(this.empty, noJobs);
    for (const job of jobs) {
      const runs = this.seen.get(job.name) ?? new Map<string, JobRun>();
      this.seen.set(job.name, runs);
      for (const run of runsOf(job)) runs.set(String(run.run ?? instant(run.started) ?? ''), run);
      const order = [...runs.entries()].sort((a, b) => (instant(b[1].started) ?? 0) - (instant(a[1].started) ?? 0));
      for (const [key] of order.slice(runsKept)) runs.delete(key);
    }
    this.draw();
  }

  // The node does not show its jobs.
  failed(message: string): void {
    if (this.jobs.length === 0) text(this.empty, `No news of jobs: ${message}.`);
  }

  private draw(): void {
    this.empty.hidden = this.jobs.length > 0;
    if (!this.element.isConnected) return;
    sync(this.list, this.jobs, (job) => job.name, (job) => this.card(job), (element, job) => this.write(element, job));
  }

  private card(job: JobInfo): HTMLElement {
    const id = `job-${job.name}`;
    return h('section', { class: 'card job', 'aria-labelledby': id },
      h('header', { class: 'bar' }, h('h2', { id }, job.name), h('span', { class: 'tag trigger' }), h('span', { class: 'facts' }), h('button', { type: 'button', class: 'button primary', onclick: () => void this.run(job.name) }, 'Run now')),
      h('p', { class: 'outcome', role: 'status', hidden: true }),
      h('p', { class: 'progress', hidden: true }, h('progress', { 'aria-label': `${job.name}: rows read` }), h('span')),
      h('div', { class: 'scroller flat' }, h('table', { class: 'plain' },
        h('thead', {}, h('tr', {}, ...['Status', 'Started', 'Took', 'Read', 'Written', 'Message'].map((label, i) => h('th', { scope: 'col', class: i > 1 && i < 5 ? 'number' : null }, label)))),
        h('tbody'))),
      h('p', { class: 'empty' }, 'Not run yet.'));
  }

  private write(element: Element, job: JobInfo): void {
    const find = (selector: string) => element.querySelector(selector) as HTMLElement;
    const now = Date.now();
    const next = instant(job.next_fire);
    text(find('.trigger'), job.trigger ?? '');
    const parts = [`${count(job.runs ?? 0)} ${job.runs === 1 ? 'run' : 'runs'}`];
    if (job.running) parts.push('running');
    else if (next !== null) parts.push(next > now ? `next in ${duration(Math.ceil((next - now) / 1000) * 1000).replace('.0 s', ' s')}` : 'due');
    text(find('.facts'), parts.join(' · '));
    const asked = this.asked.get(job.name);
    const button = find('button') as HTMLButtonElement;
    // Not `disabled`: that would take the focus away from who pressed it.
    attribute(button, 'aria-disabled', String(asked?.busy ?? false));
    text(button, asked?.busy ? 'Running …' : 'Run now');
    const outcome = find('.outcome');
    outcome.hidden = !asked?.result;
    if (asked?.result) {
      text(outcome, asked.result);
      outcome.classList.toggle('bad', !asked.good);
    }
    this.progress(find('.progress'), job);
    const runs = [...(this.seen.get(job.name)?.values() ?? [])].sort((a, b) => (instant(b.started) ?? 0) - (instant(a.started) ?? 0));
    find('.scroller').hidden = runs.length === 0;
    find('.empty').hidden = runs.length > 0;
    sync(find('tbody'), runs, (run) => String(run.run ?? instant(run.started) ?? ''), () => h('tr', {}, h('td', {}, h('span', { class: 'state' })), h('td'), h('td', { class: 'number' }), h('td', { class: 'number' }), h('td', { class: 'number' }), h('td', { class: 'message' })), (row, run) => {
      const cells = row.children;
      const state = row.querySelector('.state') as HTMLElement;
      text(state, (run.status ?? '').toLowerCase());
      attribute(state, 'data-state', stateOf(run.status));
      const started = instant(run.started);
      const ended = instant(run.ended);
      const took = run.duration_ms ?? (started !== null && ended !== null ? ended - started : null);
      const values = [started === null ? '–' : `${clock(started)} · ${ago(started, now)}`, took === null ? '–' : duration(took), count(run.read ?? 0), count(run.written ?? 0), run.message ?? ''];
      values.forEach((value, i) => cells[i + 1] && text(cells[i + 1] as Element, value));
    });
  }

  // How far the execution under way is.
  private progress(element: HTMLElement, job: JobInfo): void {
    const now = job.running ? job.present : null;
    element.hidden = !now;
    if (!now) return;
    const bar = element.querySelector('progress') as HTMLProgressElement;
    const read = now.read ?? 0;
    bar.hidden = !now.total;
    if (now.total) {
      bar.max = now.total;
      bar.value = Math.min(read, now.total);
    }
    const parts = [now.total ? `${count(read)} of ${count(now.total)} rows` : `${count(read)} rows`];
    if (now.rows_per_s) parts.push(`${count(now.rows_per_s)}/s`);
    if (now.left_ms !== null && now.left_ms !== undefined) parts.push(`${duration(now.left_ms)} left`);
    text(element.querySelector('span') as HTMLElement, parts.join(' · '));
  }

  private async run(name: string): Promise<void> {
    if (this.asked.get(name)?.busy) return;
    this.asked.set(name, { busy: true, result: '', good: true });
    this.draw();
    try {
      const answer = await ask<JobRun>(`/api/v1/jobs/${encodeURIComponent(name)}/run`, 'POST');
      const run = answer ?? {};
      const failed = stateOf(run.status) === 'bad';
      const facts = [run.status ? run.status.toLowerCase() : 'started'];
      if (run.read !== undefined) facts.push(`${count(run.read)} read`);
      if (run.written !== undefined) facts.push(`${count(run.written)} written`);
      if (run.duration_ms !== undefined) facts.push(`in ${duration(run.duration_ms)}`);
      if (run.message) facts.push(run.message);
      this.asked.set(name, { busy: false, result: `Run: ${facts.join(', ')}`, good: !failed });
    } catch (error) {
      this.asked.set(name, { busy: false, result: `Failed: ${error instanceof Error ? error.message : String(error)}`, good: false });
    }
    announce(`${name}: ${this.asked.get(name)?.result ?? ''}`);
    this.draw();
    this.refresh();
  }
}

function stateOf(status: string | undefined): string {
  const s = (status ?? '').toUpperCase();
  return s === 'COMPLETED' ? 'good' : s === 'FAILED' || s === 'ABANDONED' ? 'bad' : s === '' ? 'none' : 'busy';
}
