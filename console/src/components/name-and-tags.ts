import type { TagEditorProps } from "@cloudscape-design/components";
import { useState } from "react";

/** useNameAndTags keeps a form's field for the name and its rows of tags equal: the name is the tag Name. */
export function useNameAndTags() {
  const [tags, setTags] = useState<readonly TagEditorProps.Tag[]>([]);
  const [valid, setValid] = useState(true);
  const name = tags.find((t) => t.key === "Name")?.value ?? "";
  return {
    tags,
    valid,
    name,
    setTags: (changed: readonly TagEditorProps.Tag[], ok: boolean) => {
      setTags(changed);
      setValid(ok);
    },
    setName: (value: string) => {
      const others = tags.filter((t) => t.key !== "Name");
      setTags(value ? [{ key: "Name", value, existing: false }, ...others] : others);
    },
  };
}
