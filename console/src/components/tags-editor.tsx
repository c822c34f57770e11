import {
  Alert,
  Box,
  Button,
  Container,
  Header,
  Modal,
  SpaceBetween,
  Table,
  TagEditor,
  type TagEditorProps,
  TextFilter,
} from "@cloudscape-design/components";
import type { TagDescription } from "@aws-sdk/client-ec2";
import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { messageOf } from "../api/errors";
import { saveTags, tagCalls, tagKeys, tagsQuery, tagValues, type KeyValue } from "../api/tags";
import { useNotify } from "../shell/notifications";
import { text } from "../text/tags";
import { codeCall, ShowAsCode } from "./show-as-code";

const tagLimit = 50;
// What EC2 takes is more than what the component does: any character.
const anyCharacter = "^[\\s\\S]*$";

export interface TagsEditorProps {
  tags: readonly TagEditorProps.Tag[];
  /** valid: the tags could be sent as they are. */
  onChange: (tags: readonly TagEditorProps.Tag[], valid: boolean) => void;
  loading?: boolean;
}

/** TagsEditor is the rows of tags of a form; new resources start with [], and tagSpecifications makes the request's. */
export function TagsEditor({ tags, onChange, loading = false }: TagsEditorProps) {
  return (
    <TagEditor
      i18nStrings={text.editor}
      tags={tags}
      tagLimit={tagLimit}
      loading={loading}
      allowedCharacterPattern={anyCharacter}
      keysRequest={tagKeys}
      valuesRequest={(key, value) =>
        key ? tagValues(key, value) : Promise.reject(new Error(text.editor.emptyKeyError))
      }
      onChange={(e) => onChange(e.detail.tags, e.detail.valid)}
    />
  );
}

/** sharedTags returns the tags that all the resources have with one value, and the keys that only some of them have, or
 * with another value. */
export function sharedTags(resourceIds: string[], tags: TagDescription[]): { shared: KeyValue[]; different: string[] } {
  const byKey = new Map<string, string[]>();
  for (const t of tags) byKey.set(t.Key!, [...(byKey.get(t.Key!) ?? []), t.Value ?? ""]);
  const shared: KeyValue[] = [];
  const different: string[] = [];
  for (const [key, values] of [...byKey].sort(([a], [b]) => a.localeCompare(b))) {
    if (values.length === resourceIds.length && values.every((v) => v === values[0])) {
      shared.push({ key, value: values[0]! });
    } else {
      different.push(key);
    }
  }
  return { shared, different };
}

export interface ManageTagsModalProps {
  /** One or more; of any types. */
  resourceIds: string[];
  onClose: () => void;
}

/** ManageTagsModal edits the tags of resources. It is there while it is rendered. */
export function ManageTagsModal({ resourceIds, onClose }: ManageTagsModalProps) {
  const notify = useNotify();
  const answer = useQuery(tagsQuery(resourceIds));
  const { shared, different } = useMemo(() => sharedTags(resourceIds, answer.data ?? []), [resourceIds, answer.data]);
  const [edited, setEdited] = useState<{ tags: readonly TagEditorProps.Tag[]; valid: boolean }>();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string>();
  const tags: readonly TagEditorProps.Tag[] = edited?.tags ?? shared.map((t) => ({ ...t, existing: true }));
  const calls = tagCalls(
    resourceIds,
    shared,
    tags.filter((t) => !t.markedForRemoval),
  );
  async function save() {
    setBusy(true);
    setError(undefined);
    try {
      await saveTags(calls);
      notify({ type: "success", content: text.saved(resourceIds) });
      onClose();
    } catch (e) {
      setError(messageOf(e));
      setBusy(false);
    }
  }
  return (
    <Modal
      visible
      size="large"
      header={text.manageTitle(resourceIds)}
      closeAriaLabel={text.close}
      onDismiss={onClose}
      footer={
        <Box float="right">
          <SpaceBetween direction="horizontal" size="xs">
            <Button variant="link" onClick={onClose}>
              {text.cancel}
            </Button>
            <Button
              variant="primary"
              loading={busy}
              loadingText={text.saving}
              disabled={!calls.length || edited?.valid === false || tags.some((t) => !t.key)}
              onClick={() => void save()}
            >
              {text.save}
            </Button>
          </SpaceBetween>
        </Box>
      }
    >
      <SpaceBetween size="m">
        {(error ?? answer.error) && (
          <Alert type="error" header={error ? text.failed : undefined}>
            {error ?? messageOf(answer.error)}
          </Alert>
        )}
        <Box color="text-body-secondary">{text.about}</Box>
        {different.length > 0 && <Alert type="info">{text.different(different)}</Alert>}
        <TagsEditor tags={tags} loading={answer.isPending} onChange={(t, valid) => setEdited({ tags: t, valid })} />
        <ShowAsCode calls={calls.map(codeCall)} />
      </SpaceBetween>
    </Modal>
  );
}

/** TagsTab is the tab "Tags" of a resource's page. */
export function TagsTab({ resourceId }: { resourceId: string }) {
  const ids = useMemo(() => [resourceId], [resourceId]);
  const answer = useQuery(tagsQuery(ids));
  const [managing, setManaging] = useState(false);
  const [filter, setFilter] = useState("");
  const tags = answer.data ?? [];
  const looked = filter.toLowerCase();
  const shown = tags.filter((t) => `${t.Key}\n${t.Value}`.toLowerCase().includes(looked));
  const manage = <Button onClick={() => setManaging(true)}>{text.manage}</Button>;
  return (
    <>
      <Table
        variant="container"
        items={shown}
        trackBy="Key"
        loading={answer.isPending}
        loadingText={text.loading}
        columnDefinitions={[
          { id: "key", header: text.key, cell: (t) => t.Key, isRowHeader: true },
          { id: "value", header: text.value, cell: (t) => t.Value || "–" },
        ]}
        ariaLabels={{ tableLabel: text.tableLabel(resourceId) }}
        header={
          <Header variant="h2" counter={`(${tags.length})`} actions={manage}>
            {text.title}
          </Header>
        }
        filter={
          tags.length > 1 && (
            <TextFilter
              filteringText={filter}
              filteringAriaLabel={text.find}
              filteringPlaceholder={text.find}
              countText={filter ? text.matches(shown.length) : ""}
              onChange={(e) => setFilter(e.detail.filteringText)}
            />
          )
        }
        empty={answer.error ? <Box color="text-status-error">{messageOf(answer.error)}</Box> : text.noneYet}
      />
      {managing && <ManageTagsModal resourceIds={ids} onClose={() => setManaging(false)} />}
    </>
  );
}

/** TagsSection is the container "Tags" of a form that creates. */
export function TagsSection(props: TagsEditorProps) {
  return (
    <Container
      header={
        <Header variant="h2" description={text.about}>
          {text.title}
        </Header>
      }
    >
      <TagsEditor {...props} />
    </Container>
  );
}
