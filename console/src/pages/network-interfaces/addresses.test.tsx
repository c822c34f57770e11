import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { render, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { HashRouter } from "react-router";
import { beforeEach, expect, test, vi } from "vitest";
import { actionOf } from "../../api/action";
import * as ec2 from "../../api/ec2";
import { ManageAddressesModal } from "./addresses";
import { TrackingModal } from "./settings";

vi.mock("../../api/ec2", async (original) => ({ ...(await original<typeof ec2>()), send: vi.fn() }));
vi.setConfig({ testTimeout: 30_000 });

let sent: [string, unknown][] = [];
let closed = 0;

beforeEach(() => {
  sent = [];
  closed = 0;
  vi.mocked(ec2.send).mockImplementation((command) => {
    const action = actionOf(command);
    if (action !== "DescribeSubnets") sent.push([action, (command as { input: unknown }).input]);
    const output = { Subnets: [{ SubnetId: "subnet-1", CidrBlock: "10.0.0.0/24" }] };
    return Promise.resolve({ output, revision: 7 } as never);
  });
});

const eni = {
  NetworkInterfaceId: "eni-1",
  SubnetId: "subnet-1",
  PrivateIpAddress: "10.0.0.5",
  PrivateIpAddresses: [
    { PrivateIpAddress: "10.0.0.5", Primary: true },
    { PrivateIpAddress: "10.0.0.6", Primary: false },
  ],
};

const show = (modal: React.ReactNode) =>
  render(
    <QueryClientProvider client={new QueryClient()}>
      <HashRouter>{modal}</HashRouter>
    </QueryClientProvider>,
  );

test("addresses are unassigned, named and left to the server in one call each", async () => {
  const user = userEvent.setup();
  show(<ManageAddressesModal eni={eni} onClose={() => closed++} />);
  expect(screen.getByText("10.0.0.5 (primary)")).toBeTruthy();
  await user.click(screen.getByRole("button", { name: "Unassign 10.0.0.6" }));
  await user.click(screen.getByRole("button", { name: "Assign new IPv4 address" }));
  await user.type(screen.getByLabelText("New IPv4 address 1"), "10.0.0.9");
  await user.click(screen.getByRole("button", { name: "Assign new IPv4 address" }));
  await user.click(screen.getByRole("button", { name: "Save changes" }));
  await waitFor(() => expect(closed).toBe(1));
  expect(sent).toEqual([
    ["UnassignPrivateIpAddresses", { NetworkInterfaceId: "eni-1", PrivateIpAddresses: ["10.0.0.6"] }],
    ["AssignPrivateIpAddresses", { NetworkInterfaceId: "eni-1", PrivateIpAddresses: ["10.0.0.9"] }],
    ["AssignPrivateIpAddresses", { NetworkInterfaceId: "eni-1", SecondaryPrivateIpAddressCount: 1 }],
  ]);
});

test("an empty timeout is the default", async () => {
  const user = userEvent.setup();
  show(
    <TrackingModal eni={{ ...eni, ConnectionTrackingConfiguration: { UdpTimeout: 45 } }} onClose={() => closed++} />,
  );
  const save = screen.getByRole("button", { name: "Save changes" });
  expect(save.getAttribute("aria-disabled") ?? (save as HTMLButtonElement).disabled).toBeTruthy();
  await user.type(screen.getByLabelText("TCP established"), "600");
  await user.clear(screen.getByLabelText("UDP, seen in one direction"));
  await user.click(save);
  await waitFor(() => expect(closed).toBe(1));
  expect(sent).toEqual([
    [
      "ModifyNetworkInterfaceAttribute",
      { NetworkInterfaceId: "eni-1", ConnectionTrackingSpecification: { TcpEstablishedTimeout: 600 } },
    ],
  ]);
});
