// What is said about signing in, and about sessions that end.

export const text = {
  title: "Sign in to Sallyport",
  tab: "Sign in – Sallyport",
  userName: "User name",
  password: "Password",
  submit: "Sign in",
  missing: { userName: "Enter your user name.", password: "Enter your password." },
  link: "No password? On the server, this prints a link that signs you in:",
  command: "sallyport console",
  again: {
    title: "Sign in again",
    kept: "What you were doing is kept, and goes on when you have signed in.",
    link: "Or open a link in this browser; on the server, this prints one:",
    leave: "Leave without it",
  },
  ended: "Your session has ended.",
  idle: "Your session has ended: nobody was at this page for two hours.",
  elsewhere: "You have signed out in another tab.",
  tooMany: "There were too many failed attempts. Wait a minute, or use a link.",
  notDone: "This was not done: you are not signed in any more.",
  notSignedOut:
    "The server did not answer. You are signed out here, but your session ends only after two hours without use. Sign in and out again to end it now.",
  unreachable: "The server does not answer.",
  waiting: { title: "The server does not answer", body: "This page tries again by itself.", again: "Try again now" },
};
