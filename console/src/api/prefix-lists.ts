import {
  CreateManagedPrefixListCommand,
  DescribeManagedPrefixListsCommand,
  GetManagedPrefixListAssociationsCommand,
  GetManagedPrefixListEntriesCommand,
  type ManagedPrefixList,
  ModifyManagedPrefixListCommand,
  type PrefixListAssociation,
} from "@aws-sdk/client-ec2";
import { queryOptions } from "@tanstack/react-query";
import { send } from "./ec2";
import { refusal } from "./errors";

/** How many additions, and how many removals, EC2 takes in one call. */
export const entriesOfCall = 100;

const page = 100; // of GetManagedPrefixListEntries and DescribeManagedPrefixLists

export interface Entry {
  cidr: string;
  description: string;
}

/** What makes one set of entries another. A description that changes is an addition, as EC2 has it. */
export interface EntryChanges {
  add: Entry[];
  remove: string[];
}

export async function describePrefixLists(ids: string[]): Promise<ManagedPrefixList[]> {
  const lists: ManagedPrefixList[] = [];
  for (let token: string | undefined; ;) {
    const { output } = await send(
      new DescribeManagedPrefixListsCommand({ PrefixListIds: ids, MaxResults: page, NextToken: token }),
    );
    lists.push(...(output.PrefixLists ?? []));
    token = output.NextToken;
    if (!token) return lists;
  }
}

/** entriesOf returns all the entries of a version, the current one if none is given, sorted by address. */
export async function entriesOf(id: string, version?: number): Promise<Entry[]> {
  const entries: Entry[] = [];
  for (let token: string | undefined; ;) {
    const { output } = await send(
      new GetManagedPrefixListEntriesCommand({
        PrefixListId: id,
        TargetVersion: version,
        MaxResults: page,
        NextToken: token,
      }),
    );
    entries.push(...(output.Entries ?? []).map((e) => ({ cidr: e.Cidr!, description: e.Description ?? "" })));
    token = output.NextToken;
    if (!token) return entries;
  }
}

/** For useQuery. A version never changes. */
export const entriesQuery = (id: string, version: number) =>
  queryOptions({
    queryKey: ["GetManagedPrefixListEntries", id, version],
    queryFn: () => entriesOf(id, version),
    staleTime: Infinity,
  });

/** For useQuery: the resources that name a list. */
export const associationsQuery = (id: string) =>
  queryOptions({
    queryKey: ["GetManagedPrefixListAssociations", id],
    queryFn: async () => {
      const all: PrefixListAssociation[] = [];
      for (let token: string | undefined; ;) {
        const { output } = await send(
          new GetManagedPrefixListAssociationsCommand({ PrefixListId: id, MaxResults: 255, NextToken: token }),
        );
        all.push(...(output.PrefixListAssociations ?? []));
        token = output.NextToken;
        if (!token) return all;
      }
    },
  });

/** changesOf returns what makes before into after. An entry whose CIDR was written over is at the same place of both lists
 * of the answer, so that it is replaced in one call. */
export function changesOf(before: Entry[], after: Entry[], replaced: [from: string, to: string][] = []): EntryChanges {
  const had = new Map(before.map((e) => [e.cidr, e.description]));
  const has = new Map(after.map((e) => [e.cidr, e]));
  const pairs = replaced.filter(([from, to]) => had.has(from) && !has.has(from) && has.has(to) && !had.has(to));
  const out = new Set(pairs.map(([from]) => from));
  const into = new Set(pairs.map(([, to]) => to));
  return {
    remove: [...out, ...before.map((e) => e.cidr).filter((c) => !has.has(c) && !out.has(c))],
    add: [
      ...[...into].map((c) => has.get(c)!),
      ...after.filter((e) => !into.has(e.cidr) && had.get(e.cidr) !== e.description),
    ],
  };
}

/** applyChanges puts changes on top of entries that are others by now. */
export function applyChanges(base: Entry[], changes: EntryChanges): Entry[] {
  const now = new Map(base.map((e) => [e.cidr, e]));
  for (const cidr of changes.remove) now.delete(cidr);
  for (const e of changes.add) now.set(e.cidr, e);
  return [...now.values()];
}

/** inCalls cuts changes into what single calls take. */
export function inCalls(changes: EntryChanges): EntryChanges[] {
  const calls: EntryChanges[] = [];
  const most = Math.max(changes.add.length, changes.remove.length);
  for (let i = 0; i < most; i += entriesOfCall) {
    calls.push({ add: changes.add.slice(i, i + entriesOfCall), remove: changes.remove.slice(i, i + entriesOfCall) });
  }
  return calls;
}

const added = (e: Entry) => ({ Cidr: e.cidr, Description: e.description || undefined });

/** modifyCommand is one call that changes entries or the name of a list that is at a version. */
export const modifyCommand = (id: string, version: number, changes: EntryChanges, name?: string, dryRun?: boolean) =>
  new ModifyManagedPrefixListCommand({
    PrefixListId: id,
    CurrentVersion: version,
    PrefixListName: name,
    AddEntries: changes.add.length ? changes.add.map(added) : undefined,
    RemoveEntries: changes.remove.length ? changes.remove.map((Cidr) => ({ Cidr })) : undefined,
    DryRun: dryRun,
  });

export interface NewPrefixList {
  name: string;
  family: "IPv4" | "IPv6";
  maxEntries: number | undefined;
  entries: Entry[];
}

/** createCommand is the call that makes a list, with as many entries as one call takes. */
export const createCommand = (list: NewPrefixList, more: Partial<CreateManagedPrefixListCommand["input"]> = {}) =>
  new CreateManagedPrefixListCommand({
    PrefixListName: list.name || undefined,
    AddressFamily: list.family,
    MaxEntries: list.maxEntries,
    Entries: list.entries.length ? list.entries.slice(0, entriesOfCall).map(added) : undefined,
    ...more,
  });

/**
 * modifyEntries makes the calls that changes take, each at the version that the one before made. done is told how many
 * calls of how many were answered. What is thrown says nothing of the calls before it: they hold. Returns the version,
 * and the revision of the state.
 */
export async function modifyEntries(
  id: string,
  version: number,
  changes: EntryChanges,
  name: string | undefined,
  done: (calls: number, of: number) => void,
): Promise<{ version: number; revision: number }> {
  const calls = inCalls(changes);
  if (!calls.length && name !== undefined) calls.push({ add: [], remove: [] });
  let revision = 0;
  for (const [i, call] of calls.entries()) {
    done(i, calls.length);
    const answer = await send(modifyCommand(id, version, call, i === 0 ? name : undefined));
    version = answer.output.PrefixList?.Version ?? version + 1;
    revision = answer.revision;
  }
  done(calls.length, calls.length);
  return { version, revision };
}

/** wouldSucceed throws what the server would refuse a command with, which has DryRun set. */
export async function wouldSucceed(command: CreateManagedPrefixListCommand | ModifyManagedPrefixListCommand) {
  try {
    if (command instanceof CreateManagedPrefixListCommand) await send(command);
    else await send(command);
  } catch (error) {
    if (refusal(error)?.code !== "DryRunOperation") throw error;
  }
}

/** The lines that somebody pasted: a CIDR, or an address, and after it what it is. Separators are spaces, tabs, commas and
 * semicolons; # starts a remark; an address without a length is that one. The server says whether it is one. */
export function parsePasted(text: string): Entry[] {
  return text.split(/\r?\n/).flatMap((line) => {
    const bare = line.replace(/^\s*#.*$/, "").trim();
    const [first, ...rest] = bare.split(/[\s,;]+/);
    if (!first) return [];
    // One line may hold many blocks, as other tools write them.
    const all = [first, ...rest];
    if (rest.length && all.every((word) => /^[0-9a-f.:]+(\/\d+)?$/i.test(word) && /[.:]/.test(word))) {
      return all.map((cidr) => ({ cidr: withLength(cidr), description: "" }));
    }
    const description = bare
      .slice(first.length)
      .replace(/^[\s,;#]+/, "")
      .replace(/^"(.*)"$/, "$1");
    return [{ cidr: withLength(first), description }];
  });
}

const withLength = (text: string) =>
  text.includes("/") || !/^[0-9a-f.:]+$/i.test(text) ? text : `${text}/${text.includes(":") ? 128 : 32}`;
