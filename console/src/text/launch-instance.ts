export const text = {
  noImage: "This server has no image named netns, so it cannot run lab guests.",
  noHost: "No host runs lab guests: there are some in `sallyport dev`, or where an agent was started with --lab.",
};
