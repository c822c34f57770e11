// What forms and windows of any resource say.

export const text = {
  cancel: "Cancel",
  close: "Close",
  save: "Save changes",
  loading: "Loading",
  optional: "optional",
  actions: "Actions",
  details: "Details",
  viewDetails: "View details",
  manageTags: "Manage tags",
  tags: "Tags",
  none: "–",
  default: "default",
  copy: (what: string) => `Copy ${what}`,
  copied: "Copied",
  copyFailed: "Could not be copied",
  failed: "That did not work",
  notFound: (id: string) => `${id} is not here`,
  confirm: {
    word: "delete",
    label: (word: string) => `To confirm, type ${word} in the field`,
  },
  remove: {
    button: "Delete",
    done: (ids: string[]) => (ids.length === 1 ? `${ids[0]} deleted.` : `${ids.length} resources deleted.`),
    failed: (id: string) => `${id} could not be deleted`,
    uses: "See what uses it",
  },
  panel: {
    select: (what: string) => `Select ${what}`,
    many: (n: number) => `${n} selected`,
    manyBody: "Select a single one to see its details here.",
  },
};
