#!/usr/bin/env python3
"""Runs the probe in containers made by sandbox/oci and compares what came out with what must come out:

    escape_test.py BUILD-FOLDER [crun | runsc]

Needs root and that runtime; exits with 77 (skipped) otherwise. The numbers (T1 ...) are those of docs/THREATS.md.
"""
import glob
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

BUILD = os.path.abspath(sys.argv.pop(1)) if len(sys.argv) > 1 else "build"
GVISOR = "runsc" in sys.argv
RUNTIME = "/usr/bin/" + (sys.argv.pop(sys.argv.index("runsc")) if GVISOR else "crun")
UID = 0x60000000 + os.getpid() % 1024 * 4 * 65536  # of this run alone

DENIED = {"EPERM"}
FAMILY = {"EAFNOSUPPORT", "EPERM"}
READ_ONLY = {"EROFS", "EACCES", "EPERM"}
ABSENT = {"ENOENT", "EACCES", "EPERM", "ENXIO", "EROFS", "ENODEV"}
# What is not here is expected to be EPERM. "allowed" here is what a browser with its own sandbox needs.
EXPECTED = {
	"T6 unshare-NEWUSER-alone": {"allowed"},
	"T6 clone3": {"ENOSYS"},
	"T7 personality-query": {"allowed"},
	"T7 ioctl-FIONREAD": {"EBADF"},
	"T8 x32-getpid": {"SIGSYS"},
	"T8 int80-getpid": {"SIGSYS"},
	"T8 int80-ptrace": {"SIGSYS"},
	"T9 write-tmp": {"allowed"},
	"T9 write-sys": ABSENT,
	"T9 open-cgroup": ABSENT,
	"T9 read-kcore": ABSENT | {"allowed", "EBADF"},  # not there, or masked by /dev/null: reads nothing
	"T9 write-sysrq": READ_ONLY | ABSENT,
	"T9 open-tty": {"allowed"},  # masked by null
	"T9 open-ptmx": ABSENT,
	"T9 exec-from-tmp": {"EACCES"},
	"T9 exec-from-home": {"EACCES"},
	"T9 exec-from-shm": {"EACCES"},
	"T9 exec-from-var-tmp": {"EACCES"},
	"T9 setuid-root": {"EPERM", "EINVAL"},
}
# gVisor answers with its own kernel: other errors, and files and devices of its own, behind which there is nothing.
EXPECTED_GVISOR = {
	"T7 personality-query": {"EINVAL"},
	"T8 x32-getpid": {"EPERM"},  # no ABI but one: to the filter it is a number like others
	"T8 int80-getpid": {"allowed"},  # is the 64-bit call of that number, writev
	"T8 int80-ptrace": {"EPERM"},
	"T9 write-core_pattern": {"ENOENT"},
	"T9 open-cgroup": {"allowed"},
	"T9 open-fuse": {"allowed"},
	"T9 open-ptmx": {"allowed"},
	"T9 open-tty": {"EIO"},
}
DEVICES = {"1:3", "1:5", "1:9"}  # null, zero, urandom
if GVISOR:
	EXPECTED.update(EXPECTED_GVISOR)


def expected(name):
	if name in EXPECTED:
		return EXPECTED[name]
	if name.startswith("T4 AF_") or name.startswith("T4 family"):
		return FAMILY
	if re.match("T9 (create|write)-", name):
		return READ_ONLY
	if name.startswith("T9 open-"):
		return ABSENT
	return DENIED


def table(output):
	"""{"T4 AF_VSOCK": "EAFNOSUPPORT", ...}"""
	return dict(m.groups() for m in re.finditer(r"^(T\d+ \S+) (\S+)$", output, re.M))


class Sandbox:
	"""A tiny root file system with the probe, and containers over it."""

	def __init__(self):
		self.folder = tempfile.mkdtemp(prefix="garasu-escape-")
		os.chmod(self.folder, 0o755)
		self.rootfs = os.path.join(self.folder, "rootfs")
		for name in ("proc", "dev/shm", "tmp", "var/tmp", "home/browser", "run/garasu", "sys", "usr",
			     "etc/chromium/policies/managed"):
			os.makedirs(os.path.join(self.rootfs, name))
		with open(os.path.join(self.rootfs, "etc/chromium/policies/managed/home.json"), "w") as f:
			f.write("{}")
		shutil.copy(os.path.join(BUILD, "tests/escape-probe"), os.path.join(self.rootfs, "probe"))
		self.count = 0

	def start(self, *arguments, share=None, uid=UID, memory=256, pids=64, seconds=30):
		self.count += 1
		state = os.path.join(self.folder, "state%d" % self.count)
		os.mkdir(state)
		return subprocess.Popen(
			[os.path.join(BUILD, "tests/sandbox-run"), "--share", share or os.path.join(BUILD, "share/garasu"),
			 "--runtime", RUNTIME, "--rootfs", self.rootfs, "--state", state, "--uid", str(uid), "--memory", str(memory),
			 "--pids", str(pids), "--seconds", str(seconds), "--", "/probe", *arguments],
			stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

	def run(self, *arguments, **settings):
		process = self.start(*arguments, **settings)
		output, errors = process.communicate(timeout=90)
		if process.returncode != 0:
			raise AssertionError("sandbox-run: %s%s" % (output, errors))
		last = dict(pair.split("=") for pair in errors.strip().splitlines()[-1].split())
		return output, last

	def weakened(self):
		"""A share folder whose seccomp profile permits what the real one denies."""
		share = os.path.join(self.folder, "weakened")
		os.mkdir(share)
		shutil.copy(os.path.join(BUILD, "share/garasu/config.json"), share)
		with open(os.path.join(share, "seccomp.json"), "w") as f:
			f.write('{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[],'
				'"architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86","SCMP_ARCH_X32"]}')
		return share

	def remove(self):
		shutil.rmtree(self.folder)


def host_state():
	"""What a container could leave behind: mounts, groups, processes of its ids; and the devices that it shares with the machine."""
	with open("/proc/self/mountinfo") as f:
		mounts = sorted(f.read().splitlines())
	groups = sorted(os.path.join(base, name) for base, names, _ in os.walk("/sys/fs/cgroup") for name in names
			if name.startswith("garasu-escape"))
	processes = []
	for pid in filter(str.isdigit, os.listdir("/proc")):
		try:
			with open("/proc/%s/status" % pid) as f:
				uid = int(re.search(r"^Uid:\s+(\d+)", f.read(), re.M).group(1))
		except (OSError, AttributeError):
			continue
		if UID <= uid < UID + 4 * 65536:
			processes.append(pid)
	devices = {}
	for name in ("null", "zero", "full", "random", "urandom", "tty"):
		status = os.stat("/dev/" + name)
		devices[name] = (oct(status.st_mode), status.st_uid, status.st_gid)
	return mounts, groups, processes, devices


def proc_status(pid):
	with open("/proc/%s/status" % pid) as f:
		return dict(re.findall(r"^(\w+):[ \t]*(.*)$", f.read(), re.M))


def host_address():
	with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
		try:
			s.connect(("192.0.2.1", 9))  # sends nothing
			return s.getsockname()[0]
		except OSError:
			return None


class Escape(unittest.TestCase):
	maxDiff = None

	@classmethod
	def setUpClass(cls):
		cls.before = host_state()
		cls.sandbox = Sandbox()

	@classmethod
	def tearDownClass(cls):
		cls.sandbox.remove()

	def wrong(self, output, *tests):
		"""The lines of these tests that are not as expected."""
		found = {k: v for k, v in table(output).items() if k.split()[0] in tests}
		for test in tests:
			self.assertTrue(any(k.startswith(test + " ") for k in found), "the probe said nothing of " + test)
		return sorted("%s %s" % (k, v) for k, v in found.items() if v not in expected(k))

	def test_t1_only_loopback_and_no_route(self):
		output, _ = self.sandbox.run("identity")
		names = re.findall(r"^interface\s+([^\s:|]+):", output, re.M)
		self.assertEqual(names, ["lo"])
		self.assertEqual(re.findall(r"^route (?!Iface)(\S.*)$", output, re.M), [])
		for line in re.findall(r"^route6 (.*)$", output, re.M):
			self.assertEqual(line.split()[-1], "lo")

	def test_t2_nothing_of_the_host_or_its_networks_is_reached(self):
		reached = []
		listeners = []

		def accept(listener):
			while True:
				try:
					connection, _ = listener.accept()
				except OSError:
					return
				reached.append(listener.getsockname())
				connection.close()

		name = "garasu-escape-%d" % os.getpid()
		addresses = ["127.0.0.1", host_address()]
		targets = []
		for address in filter(None, addresses):
			listener = socket.create_server((address, 0))
			listeners.append(listener)
			targets.append("%s:%d" % listener.getsockname())
		abstract = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
		abstract.bind("\0" + name)
		abstract.listen()
		listeners.append(abstract)
		for listener in listeners:
			threading.Thread(target=accept, args=(listener,), daemon=True).start()
		targets += ["169.254.169.254:80", "10.0.0.1:80", "172.16.0.1:80", "192.168.0.1:80", "100.64.0.1:80", "224.0.0.1:80",
			    "192.0.2.1:80"]
		try:
			output, _ = self.sandbox.run(*[a for t in targets + ["@" + name] for a in ("reach", t)])
		finally:
			for listener in listeners:
				listener.close()
		results = table(output)
		self.assertEqual(len(results), 2 * len(targets) + 1, output)
		for key, result in results.items():
			if key.startswith("T2 udp-127.0.0.1"):
				continue  # its own loopback: a datagram to nobody
			self.assertIn(result, {"ENETUNREACH", "EHOSTUNREACH", "ECONNREFUSED", "EACCES", "EPERM"}, key)
		self.assertEqual(reached, [])

	def test_t4_to_t8_system_calls(self):
		output, _ = self.sandbox.run("calls")
		self.assertEqual(self.wrong(output, "T4", "T5", "T6", "T7", "T8"), [])

	def test_t9_files_and_devices(self):
		output, _ = self.sandbox.run("files")
		self.assertEqual(self.wrong(output, "T9"), [])

	if not GVISOR:  # which has none of the machine's
		def test_t9_no_device_but_null_zero_urandom(self):
			output, _ = self.sandbox.run("identity")
			self.assertEqual(set(re.findall(r"^device (\d+:\d+) ", output, re.M)), DEVICES, output)

	def test_t10_a_fork_bomb_stops_at_the_limit(self):
		output, last = self.sandbox.run("fork-bomb", pids=50)
		if GVISOR:  # gVisor itself gets no thread any more, and ends
			self.assertEqual(last["status"], "exit:2")
			self.assertNotIn("T10 forked", output)
			return
		forked, error = re.search(r"^T10 forked (\d+) then (\S+)$", output, re.M).groups()
		self.assertEqual((int(forked), error), (49, "EAGAIN"))
		self.assertEqual(last["status"], "exit:0")

	def test_t11_a_memory_hog_is_killed_in_its_own_group(self):
		output, last = self.sandbox.run("memory", "640", memory=64)
		self.assertNotIn("T11 allocated", output)
		self.assertEqual(last["status"], "signal:9")
		self.assertGreater(int(last["oom"]), 0)

	def test_the_group_carries_its_limits(self):
		process = self.sandbox.start("identity", "sleep", "5", memory=96, pids=33)
		pids = str(33 * 4 if GVISOR else 33)
		try:
			groups = self.wait_for_groups(process.pid)
			if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
				wanted = {"memory.max": str(96 << 20), "memory.swap.max": "0", "pids.max": pids, "cpu.max": "100000 100000"}
				kept = {"memory.max", "pids.max", "cpu.max"}
			else:
				wanted = {"memory.limit_in_bytes": str(96 << 20), "memory.memsw.limit_in_bytes": str(96 << 20),
					  "pids.max": pids, "cpu.cfs_quota_us": "100000", "cpu.cfs_period_us": "100000"}
				kept = set(wanted) - {"memory.memsw.limit_in_bytes"}
			found = {}
			for group in groups:
				for name in os.listdir(group):
					if name in wanted:
						with open(os.path.join(group, name)) as f:
							found[name] = f.read().strip()
			self.assertLessEqual(kept, set(found))  # a kernel may count no swap
			self.assertEqual(found, {name: wanted[name] for name in found})
		finally:
			process.communicate(timeout=60)

	def wait_for_groups(self, pid):
		"""The folders of the group that this sandbox-run made, when its limits are set: the probe runs in it."""
		end = time.monotonic() + 20
		while time.monotonic() < end:
			groups = [g for pattern in ("", "*/") for g in glob.glob("/sys/fs/cgroup/%sgarasu-escape-%d/c1" % (pattern, pid))]
			for group in groups:
				with open(os.path.join(group, "cgroup.procs")) as f:
					for member in f.read().split():
						try:
							if os.readlink("/proc/%s/exe" % member).endswith("/runsc" if GVISOR else "/probe"):
								return groups
						except OSError:
							pass
			time.sleep(0.02)
		self.fail("no container after 20 s")

	if GVISOR:
		def confined_members(self, group):
			"""The processes of a group once all have their filter, gVisor's kernel and its file server at least."""
			end = time.monotonic() + 20
			while time.monotonic() < end:
				with open(os.path.join(group, "cgroup.procs")) as f:
					members = f.read().split()
				if len(members) >= 2 and all(proc_status(m)["Seccomp"] == "2" for m in members):
					return members
				time.sleep(0.02)
			self.fail("not all are confined")

		def test_t13_the_processes_of_two_sandboxes_share_no_namespace(self):
			"""What stands behind the kernel that the container sees: the machine's processes. They have its pid namespace."""
			processes = [self.sandbox.start("identity", "sleep", "8", uid=UID + 65536 * i) for i in range(2)]
			seen = []
			try:
				for process in processes:
					group = self.wait_for_groups(process.pid)[0]
					seen.append(set())
					for member in self.confined_members(group):
						status = proc_status(member)
						self.assertNotEqual(status["Uid"].split()[0], "0")
						if status["Uid"].split()[0] == "65534":  # not the one that hands out the image's files
							self.assertLessEqual(set(os.listdir("/proc/%s/root" % member)), {"proc", "etc"})
						for kind in ("user", "mnt", "ipc", "uts", "net"):
							namespace = os.readlink("/proc/%s/ns/%s" % (member, kind))
							self.assertNotEqual(namespace, os.readlink("/proc/self/ns/" + kind))
							seen[-1].add(namespace)
				self.assertEqual(seen[0] & seen[1], set())
			finally:
				outputs = [p.communicate(timeout=60)[0] for p in processes]
			self.assertTrue(all(outputs))

	if not GVISOR:  # what a container sees there is gVisor's
		def test_t13_two_containers_share_no_namespace_and_no_id(self):
			first = self.sandbox.start("identity", "sleep", "5")  # at the same time: else numbers come again
			second = self.sandbox.start("identity", "sleep", "5", uid=UID + 65536)
			outputs = [p.communicate(timeout=60)[0] for p in (first, second)]
			namespaces = [set(re.findall(r"^namespace (\S+)$", o, re.M)) for o in outputs]
			self.assertEqual([len(n) for n in namespaces], [7, 7])
			self.assertEqual(namespaces[0] & namespaces[1], set())
			for kind in ("user", "pid", "mnt", "ipc", "uts", "cgroup", "net"):
				own = os.readlink("/proc/self/ns/" + kind)
				self.assertNotIn(own, namespaces[0] | namespaces[1])
			maps = [re.search(r"^uid_map\s+0\s+(\d+)\s+65536$", o, re.M).group(1) for o in outputs]
			self.assertEqual(maps, [str(UID), str(UID + 65536)])

	def test_the_process_has_no_privilege(self):
		output, _ = self.sandbox.run("identity")
		status = dict(re.findall(r"^status (\w+):[ \t]*(.*)$", output, re.M))
		self.assertEqual(status["Uid"].split(), ["1000"] * 4)
		self.assertEqual(status["Gid"].split(), ["1000"] * 4)
		capabilities = {k: int(v, 16) for k, v in status.items() if k.startswith("Cap")}
		self.assertEqual(capabilities, dict.fromkeys(["CapInh", "CapPrm", "CapEff", "CapBnd"] +
							     ([] if GVISOR else ["CapAmb"]), 0))
		self.assertEqual(status["Seccomp"], "2")
		self.assertEqual(status["Groups"].strip(), "")
		self.assertEqual(re.findall(r"^descriptor (\d+)$", output, re.M), ["0", "1", "2"])
		if GVISOR:
			return
		self.assertEqual(status["NoNewPrivs"], "1")
		self.assertEqual(re.search(r"^oom (\d+)$", output, re.M).group(1), "100")
		for line in re.findall(r"^mount (.*)$", output, re.M):
			fields = line.split()
			options = set(fields[5].split(","))
			if fields[4] == "/":
				self.assertIn("ro", options, line)
			elif "tmpfs" in fields[fields.index("-") + 1] and "ro" not in options:
				self.assertLessEqual({"nosuid", "noexec"}, options, line)
				self.assertRegex(line, r"size=\d+k")

	def test_t14_nothing_is_left(self):
		self.sandbox.run("files")
		self.assertEqual(host_state(), self.before)

	def test_t47_without_the_profile_the_probe_sees_it(self):
		output, _ = self.sandbox.run("calls", share=self.sandbox.weakened())
		for test in ("T4", "T5", "T6", "T7", "T8"):
			self.assertNotEqual(self.wrong(output, test), [], "%s passes without a seccomp profile" % test)


if __name__ == "__main__":
	if os.geteuid() != 0 or not os.path.exists(RUNTIME):
		print("escape: skipped: needs root and " + RUNTIME)
		sys.exit(77)
	unittest.main(verbosity=2)
