/** actionOf returns the name of the action that a command of the SDK is for. Not its class's name: that is shortened when
 * the console is built, and two classes may then share one. */
export const actionOf = (command: object): string => (command as { schema: readonly unknown[] }).schema[2] as string;
