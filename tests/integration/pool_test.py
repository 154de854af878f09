#!/usr/bin/env python3
"""garasu-pool with real containers, driven over its control socket as the supervisor would.

Most tests use a root file system of one static program that stands in for the agent (tests/escape/agent.c); those in
RealImage need the sandbox image (GARASU_IMAGES, default /var/lib/garasu/images) and are skipped, and counted, without it.
"""
import glob
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
from supervise import BUILD, Child  # noqa: E402

IMAGES = os.environ.get("GARASU_IMAGES", "/var/lib/garasu/images")
UID_FIRST = (1 << 30) + os.getpid() % 32 * 256 * 65536  # of this run alone, as others may run beside it


class Pool(Child):
	"""One garasu-pool; what it was told to keep is closed by close()."""

	def __init__(self, folder, path="", images=None, runtime="/usr/bin/crun", **pool):
		self.folder = folder
		self.run = os.path.join(folder, "run")
		settings = {"warm": 1, "maximum": 3, "memory_mib": 256, "pids": 64, "start_seconds": 10, "uid_first": UID_FIRST}
		settings.update(pool)
		self.config = os.path.join(folder, "garasu.conf")
		with open(self.config, "w") as f:
			f.write('session { home_url = "http://test.example/%s" }\n' % path)
			f.write('pool { images = "%s"\nruntime = "%s"\n%s }\n' % (
				images or os.path.join(folder, "images"), runtime,
				"\n".join("%s = %d" % pair for pair in settings.items())))
			f.write('broker { run_directory = "%s"\nlog_level = debug }\n' % self.run)
		self.log = open(os.path.join(folder, "log"), "a+")
		self.log.seek(0, 2)
		self.log_start = self.log.tell()
		self.seen = []
		self.began = time.monotonic()
		super().__init__("garasu-pool", self.config, stderr=self.log.fileno(), leaks=True)

	def receive(self, seconds):
		"""The next message, kept in seen; None when there was none in that time."""
		if self.says_nothing(max(0, seconds)):
			return None
		message = super().receive()
		if message is None:
			raise AssertionError("the pool ended:\n" + self.logged())
		self.seen.append(message)
		return message

	def wait(self, kind, container=None, seconds=20):
		"""The next message of this kind; others are kept in seen."""
		end = time.monotonic() + seconds
		while True:
			message = self.receive(end - time.monotonic())
			if message is None:
				raise AssertionError("no %s after %d s; seen: %s\n%s" % (kind, seconds, self.seen, self.logged()))
			if message.type == kind and container in (None, message.container):
				return message

	def logged(self):
		self.log.seek(self.log_start)
		return self.log.read()

	def close(self):
		"""The control socket's end; returns the exit status."""
		try:
			return self.stop(60)
		finally:
			for message in self.seen:
				for fd in message.fds:
					try:
						os.close(fd)
					except OSError:
						pass

	def init(self, container):
		with open(os.path.join(self.run, "c/%d/pid" % container)) as f:
			return int(f.read())


def wait_until(what, condition, seconds=30):
	end = time.monotonic() + seconds
	while not condition():
		if time.monotonic() > end:
			raise AssertionError("waited %d s until %s" % (seconds, what))
		time.sleep(0.05)


def text_of(path):
	try:
		with open(path, errors="replace") as f:
			return f.read()
	except OSError:
		return ""


def name_of_pool(run):
	"""Of its control group, and with what its containers' names begin: two pools on one machine do not meet."""
	hash_ = 2166136261
	for byte in run.encode():
		hash_ = (hash_ ^ byte) * 16777619 & 0xffffffff
	return "garasu-%08x" % hash_


def left_behind(run):
	"""What there still is of containers: processes by id range, groups, mounts, files."""
	found = []
	for status in glob.glob("/proc/[0-9]*/status"):
		try:
			with open(status) as f:
				text = f.read()
		except OSError:
			continue
		uid = int(re.search(r"^Uid:\s+(\d+)", text, re.M).group(1))
		dead = re.search(r"^State:\s+Z", text, re.M)  # of a killed pool: for the machine's init to reap
		gvisor = uid == 65534 and run in text_of(os.path.dirname(status) + "/cmdline")
		if not dead and (gvisor or UID_FIRST <= uid < UID_FIRST + 256 * 65536):
			found.append("process %s" % re.search(r"^Name:\s+(.*)$", text, re.M).group(1))
	found += glob.glob("/sys/fs/cgroup/" + name_of_pool(run)) + glob.glob("/sys/fs/cgroup/*/" + name_of_pool(run))
	with open("/proc/self/mountinfo") as f:
		found += [line for line in f if run in line]
	found += glob.glob(run + "/*") + glob.glob(run + "/c/*")
	return found


class PoolTest(unittest.TestCase):
	runtime = "/usr/bin/crun"

	def setUp(self):
		self.folder = tempfile.mkdtemp(prefix="garasu-pool-")
		os.chmod(self.folder, 0o755)
		self.run_directory = os.path.join(self.folder, "run")
		self.pools = []

	def tearDown(self):
		for pool in self.pools:
			if pool.running():
				pool.close()
			pool.log.close()
		left = left_behind(self.run_directory)
		shutil.rmtree(self.folder)
		self.assertEqual(left, [])

	def pool(self, path="", **settings):
		pool = Pool(self.folder, path, **{"runtime": self.runtime, **settings})
		self.pools.append(pool)
		return pool


class StandInImage(PoolTest):
	"""Containers whose agent is a stand-in."""

	def setUp(self):
		super().setUp()
		image = os.path.join(self.folder, "images/1/rootfs")
		for name in ("proc", "dev/shm", "tmp", "var/tmp", "home/browser", "run/garasu", "sys", "usr/lib/garasu",
			     "etc/chromium/policies/managed"):
			os.makedirs(os.path.join(image, name))
		with open(os.path.join(image, "etc/chromium/policies/managed/home.json"), "w") as f:
			f.write("{}")
		shutil.copy(os.path.join(BUILD, "tests/escape-agent"), os.path.join(image, "usr/lib/garasu/garasu-agent"))
		os.symlink("1", os.path.join(self.folder, "images/current"))


class StandIn(StandInImage):
	def test_a_container_is_kept_warm_handed_out_and_destroyed(self):
		pool = self.pool()
		self.assertEqual(pool.receive(20).type, "READY")
		started = pool.wait("STARTED")
		self.assertEqual(len(started.fds), 1)
		egress = socket.socket(fileno=os.dup(started.fds[0]))
		self.assertTrue(egress.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
		egress.close()
		agent = pool.wait("AGENT")
		self.assertEqual((agent.container, len(agent.fds)), (started.container, 1))
		self.assertIsNone(pool.receive(0.5), "one is warm: no more are started")
		pool.send("ASSIGN", container=agent.container, session=0x1234)
		second = pool.wait("AGENT")
		self.assertNotEqual(second.container, agent.container)
		pool.send("DESTROY", container=agent.container)
		gone = pool.wait("GONE")
		self.assertEqual((gone.container, gone.reason), (agent.container, "NONE"))
		self.assertFalse(os.path.exists(os.path.join(pool.run, "c/%d" % agent.container)))
		self.assertEqual(pool.close(), 0)
		self.assertNotIn("error:", pool.logged())

	def test_t14_its_namespaces_end_with_it(self):
		"""What is left of processes, groups, mounts and files is looked for after every test."""
		pool = self.pool()
		container = pool.wait("AGENT").container
		pool.send("ASSIGN", container=container, session=1)
		pool.wait("AGENT")  # the next one
		ours = {os.readlink(link) for link in glob.glob("/proc/self/ns/*")}
		ended = {os.readlink(link) for link in glob.glob("/proc/%d/ns/*" % pool.init(container))} - ours
		self.assertIn("net", {name.split(":")[0] for name in ended})
		pool.send("DESTROY", container=container)
		pool.wait("GONE", container)
		held = set()
		for link in glob.glob("/proc/[0-9]*/ns/*") + glob.glob("/proc/%d/fd/*" % pool.pid):
			try:
				held.add(os.readlink(link))
			except OSError:
				pass
		self.assertEqual(held & ended, set())

	def test_an_agent_that_lost_its_session_connects_again(self):
		pool = self.pool()
		for _ in range(3):
			agent = pool.wait("AGENT")
			os.close(agent.fds.pop())
		self.assertEqual({m.container for m in pool.seen if m.type == "AGENT"}, {agent.container})

	def test_no_more_than_the_maximum(self):
		pool = self.pool(maximum=2, warm=1)
		for _ in range(2):
			pool.send("ASSIGN", container=pool.wait("AGENT").container, session=1)
		self.assertIsNone(pool.receive(1))
		pool.send("DESTROY", container=1)
		pool.wait("GONE", 1)
		self.assertEqual(pool.wait("AGENT").container, 1)

	def test_an_agent_that_never_connects_is_given_up(self):
		pool = self.pool("deaf", start_seconds=1)
		first = pool.wait("POOL_TROUBLE")
		self.assertIn("not ready after 1 s", first.text)
		self.assertEqual(pool.wait("GONE").reason, "CONTAINER_FAILED")
		second = pool.wait("POOL_TROUBLE")
		third = pool.wait("POOL_TROUBLE")
		self.assertGreater(second.time - first.time, 1.9)
		self.assertGreater(third.time - second.time, 2.9)

	def test_an_agent_that_ends_at_once_is_not_started_in_a_loop(self):
		pool = self.pool("exit")
		times = [pool.wait("POOL_TROUBLE").time for _ in range(3)]
		self.assertGreater(times[1] - times[0], 0.9)
		self.assertGreater(times[2] - times[1], 1.9)
		self.assertIn("exit status 3", pool.seen[-1].text + "".join(m.text for m in pool.seen))

	def test_a_container_that_dies_while_in_use_is_told_and_replaced(self):
		pool = self.pool("die")
		first = pool.wait("AGENT").container
		pool.send("ASSIGN", container=first, session=1)
		self.assertEqual(pool.wait("GONE", first).reason, "CONTAINER_FAILED")
		self.assertIn("exit status 5", pool.logged())

	def test_a_container_killed_from_outside_is_told(self):
		pool = self.pool()
		container = pool.wait("AGENT").container
		pool.send("ASSIGN", container=container, session=1)
		pool.wait("AGENT")
		os.kill(pool.init(container), signal.SIGKILL)
		self.assertEqual(pool.wait("GONE", container).reason, "CONTAINER_FAILED")

	def test_t11_too_much_memory_is_told_as_such(self):
		pool = self.pool("memory", memory_mib=256)
		container = pool.wait("AGENT").container
		pool.send("ASSIGN", container=container, session=1)
		self.assertEqual(pool.wait("GONE", container).reason, "OUT_OF_MEMORY")

	def test_a_killed_pool_is_cleared_up_after_by_the_next(self):
		pool = self.pool(warm=2)
		pool.wait("AGENT")
		pool.wait("AGENT")
		inits = [pool.init(1), pool.init(2)]
		pool.kill()
		self.assertTrue(all(os.path.exists("/proc/%d" % pid) for pid in inits))
		second = self.pool()
		second.wait("READY")
		self.assertEqual(second.logged().count("left by an earlier life"), 2)
		self.assertFalse(any(os.path.exists("/proc/%d/exe" % pid) for pid in inits))
		second.wait("AGENT")

	def test_sigterm_ends_everything(self):
		pool = self.pool()
		pool.wait("AGENT")
		pool.signal(signal.SIGTERM)
		self.assertEqual(pool.wait("GONE").reason, "SHUTTING_DOWN")
		self.assertEqual(pool.exit_status(30), 0)

	def test_the_control_socket_s_end_while_starting_ends_everything(self):
		pool = self.pool()
		pool.wait("READY")
		self.assertEqual(pool.close(), 0)

	def test_a_runtime_that_fails_is_told_with_its_words(self):
		script = os.path.join(self.folder, "runtime")
		with open(script, "w") as f:
			f.write("#!/bin/sh\necho 'the moon is wrong' >\"$4\"\nexit 9\n")
		os.chmod(script, 0o755)
		pool = self.pool(runtime=script)
		self.assertIn("run: exit status 9: the moon is wrong", pool.wait("POOL_TROUBLE").text)
		self.assertNotIn("STARTED", [m.type for m in pool.seen])

	def test_a_runtime_that_hangs_is_killed(self):
		script = os.path.join(self.folder, "runtime")
		with open(script, "w") as f:
			f.write("#!/bin/sh\nexec sleep 1000\n")
		os.chmod(script, 0o755)
		pool = self.pool(runtime=script, start_seconds=1)
		self.assertIn("not ready after 1 s", pool.wait("POOL_TROUBLE").text)

	def test_a_missing_image_is_told_with_its_path(self):
		pool = self.pool(images=os.path.join(self.folder, "nowhere"))
		self.assertIn("no image for the containers: %s/nowhere/current" % self.folder, pool.wait("POOL_TROUBLE").text)

	def test_t21_a_peer_with_another_id_is_refused(self):
		"""Root gets past the socket's mode, but is not the container."""
		pool = self.pool()
		path = os.path.join(pool.run, "c/%d/io/agent.sock" % pool.wait("AGENT").container)
		with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
			sock.connect(path)
			self.assertEqual(sock.recv(1), b"")
		self.assertIn("refused a connection to its agent socket by uid 0", pool.logged())

	def test_t13_nothing_of_one_container_is_there_for_another(self):
		"""As the other container's user, but with the whole machine in sight, which no container has."""
		pool = self.pool(warm=2)
		first, second = pool.wait("AGENT").container, pool.wait("AGENT").container
		folder, init = os.path.join(pool.run, "c/%d" % first), pool.init(first)
		group = next(g for pattern in ("", "pids/") for g in glob.glob("/sys/fs/cgroup/%sgarasu-*/c%d" % (pattern, first))
			     if str(init) in read(g + "/cgroup.procs").split())
		root = "/proc/%d/root" % init

		def connect(kind, name):
			with socket.socket(socket.AF_UNIX, kind) as sock:
				sock.connect(folder + "/io/" + name)
		tries = {
			"connect to its agent": lambda: connect(socket.SOCK_SEQPACKET, "agent.sock"),
			"connect to its egress": lambda: connect(socket.SOCK_STREAM, "egress.sock"),
			"list its folder": lambda: os.listdir(folder),
			"list its sockets": lambda: os.listdir(folder + "/io"),
			"list its /tmp": lambda: os.listdir(root + "/tmp"),
			"read its home": lambda: os.listdir(root + "/home/browser"),
			"see its namespaces": lambda: os.readlink("/proc/%d/ns/net" % init),
			"read its memory": lambda: os.open("/proc/%d/mem" % init, os.O_RDONLY),
			"signal it": lambda: os.kill(init, 0),
			"move into its group": lambda: os.open(group + "/cgroup.procs", os.O_WRONLY),
			"raise its limit": lambda: os.open(group + "/pids.max", os.O_WRONLY),
		}

		def possible(uid):
			"""Which of them work for this user: a bit each, from a process of its own."""
			read, write = os.pipe()
			child = os.fork()
			if child == 0:
				os.setgroups([])
				os.setresgid(uid, uid, uid)
				os.setresuid(uid, uid, uid)
				for name, attempt in tries.items():
					try:
						attempt()
						os.write(write, (name + "\n").encode())
					except PermissionError:
						pass
					except OSError as error:
						os.write(write, ("%s: %s\n" % (name, error)).encode())
				os._exit(0)
			os.close(write)
			self.assertEqual(os.waitpid(child, 0)[1], 0)
			with os.fdopen(read) as lines:
				return lines.read().splitlines()
		self.assertEqual(possible(UID_FIRST + (second - 1) * 65536 + 1000), [])
		# The same tries do work for the container's own id, as far as that may: the test can see.
		own = possible(UID_FIRST + (first - 1) * 65536 + 1000)
		self.assertLessEqual({"connect to its egress", "signal it"}, set(own), own)

	def test_what_a_container_writes_is_escaped_and_bounded(self):
		pool = self.pool("noisy")
		pool.wait("AGENT")
		wait_until("there are too many lines", lambda: "are not shown: too many" in pool.logged())
		lines = [line for line in pool.logged().split("are not shown")[0].splitlines() if "noise" in line]
		self.assertGreater(len(lines), 5)
		self.assertLessEqual(len(lines), 40)
		self.assertNotIn("\x1b", pool.logged())

	def test_a_log_process_that_dies_is_replaced_and_no_container_notices(self):
		pool = self.pool("noisy")
		container = pool.wait("AGENT").container
		init = pool.init(container)
		relay = log_processes(pool)
		os.kill(int(relay[0]), signal.SIGKILL)
		wait_until("there is another", lambda: log_processes(pool) not in (relay, []))
		lines = pool.logged().count("noise")
		wait_until("it writes", lambda: pool.logged().count("noise") > lines)
		self.assertEqual(pool.init(container), init)
		self.assertTrue(os.path.exists("/proc/%d/exe" % init))
		living = log_processes(pool)
		self.assertEqual(len(living), 1)
		self.assertNotEqual(living, relay)

	def test_an_idle_pool_never_wakes_up(self):
		pool = self.pool()
		pool.wait("AGENT")
		threads = [pool.pid] + [int(p) for p in log_processes(pool)]
		self.assertEqual(len(threads), 2, "pool and its log process")

		def quiet():  # not at once: the log process still has its window over the agent's first line
			before = [switches(p) for p in threads]
			time.sleep(3)
			return [switches(p) for p in threads] == before
		wait_until("nothing wakes up any more", quiet)

	def test_privileges_of_the_pool_and_its_log_process(self):
		pool = self.pool()
		pool.wait("AGENT")
		status = fields(pool.pid)
		self.assertEqual(status["NoNewPrivs"], "1")
		for dropped in (16, 17, 20, 22, 25, 34, 38, 39):  # module, rawio, pacct, boot, time, syslog, perfmon, bpf
			self.assertFalse(int(status["CapPrm"], 16) >> dropped & 1, dropped)
			self.assertFalse(int(status["CapBnd"], 16) >> dropped & 1, dropped)
		relay = log_processes(pool)
		self.assertEqual(len(relay), 1)
		status = fields(relay[0])
		self.assertEqual(set(status["Uid"].split()), {"900006"})
		self.assertEqual(int(status["CapPrm"], 16), 0)
		self.assertEqual(os.listdir("/proc/%s/root" % relay[0]), [])

	def test_many_turns_leave_no_descriptor_and_no_zombie(self):
		pool = self.pool()
		counts = []
		container = pool.wait("AGENT").container
		for turn in range(6):
			pool.send("ASSIGN", container=container, session=turn + 1)
			following = pool.wait("AGENT").container
			pool.send("DESTROY", container=container)
			pool.wait("GONE", container)
			container = following
			if turn in (2, 5):
				wait_until("every child is collected", lambda: not zombies(pool))
				counts.append(len(os.listdir("/proc/%d/fd" % pool.pid)))
		wait_until("there are no more descriptors than before",
			   lambda: len(os.listdir("/proc/%d/fd" % pool.pid)) <= counts[0])


@unittest.skipUnless(os.path.exists("/usr/bin/runsc"), "needs runsc")
class UnderRunsc(StandInImage):
	"""Where gVisor could differ: its two processes, its state's files, its limits, how long it takes to go."""
	runtime = "/usr/bin/runsc"
	test_a_container_is_kept_warm_handed_out_and_destroyed = StandIn.test_a_container_is_kept_warm_handed_out_and_destroyed
	test_a_killed_pool_is_cleared_up_after_by_the_next = StandIn.test_a_killed_pool_is_cleared_up_after_by_the_next
	test_many_turns_leave_no_descriptor_and_no_zombie = StandIn.test_many_turns_leave_no_descriptor_and_no_zombie
	test_t11_too_much_memory_is_told_as_such = StandIn.test_t11_too_much_memory_is_told_as_such
	test_t14_its_namespaces_end_with_it = StandIn.test_t14_its_namespaces_end_with_it

	def test_t13_nobody_on_the_machine_can_order_gvisor_about(self):
		"""It takes orders at an abstract socket from whoever comes: there must be none in the machine's network namespace."""
		pool = self.pool()
		pool.wait("AGENT")
		self.assertIn("@runsc-sandbox", read("/proc/%d/net/unix" % pool.pid))
		self.assertNotIn("@runsc-sandbox." + name_of_pool(pool.run), read("/proc/self/net/unix"))


def read(path):
	with open(path) as f:
		return f.read()


def children(pid):
	with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
		return f.read().split()


def fields(pid):
	with open("/proc/%s/status" % pid) as f:
		return dict(re.findall(r"^(\w+):[ \t]*(.*)$", f.read(), re.M))


def log_processes(pool):
	"""The pool's children that are no runtime; one that ends meanwhile is none."""
	found = []
	for pid in children(pool.pid):
		try:
			if fields(pid)["Name"] == "garasu-pool":
				found.append(pid)
		except OSError:
			pass
	return found


def zombies(pool):
	found = []
	for pid in children(pool.pid):
		try:
			if fields(pid)["State"].startswith("Z"):
				found.append(pid)
		except OSError:
			pass
	return found


def switches(pid):
	return int(fields(pid)["voluntary_ctxt_switches"])


@unittest.skipUnless(os.path.exists(os.path.join(IMAGES, "current/rootfs")), "no sandbox image in " + IMAGES)
class RealImage(PoolTest):
	def test_t12_chromium_runs_in_its_own_sandbox_and_nothing_is_left(self):
		pool = self.pool(images=IMAGES, memory_mib=1536, pids=400, start_seconds=60, maximum=2)
		started = pool.wait("STARTED", seconds=60)
		agent = pool.wait("AGENT", seconds=60)
		print("\nstart to STARTED %.2f s, to AGENT %.2f s" % (started.time - pool.began, agent.time - pool.began))
		ours = range(UID_FIRST, UID_FIRST + 65536 * 2)
		renderers, lines = [], []
		for pid in filter(str.isdigit, os.listdir("/proc")):
			try:
				status = fields(pid)
				with open("/proc/%s/cmdline" % pid, "rb") as f:
					line = f.read().replace(b"\0", b" ").decode(errors="replace")
			except OSError:
				continue
			if int(status["Uid"].split()[0]) not in ours:
				continue
			lines.append(line)
			for flag in ("--no-sandbox", "--disable-seccomp", "--disable-namespace", "--disable-setuid", "--disable-gpu-sandbox"):
				self.assertNotIn(flag, line)
			if "--type=renderer" in line:
				renderers.append(line)
				self.assertGreaterEqual(int(status.get("Seccomp_filters", 0)), 2, line)
				self.assertGreaterEqual(len(status["NSpid"].split()), 3, line)
			self.assertEqual(int(status["NoNewPrivs"]), 1, line)
		self.assertGreaterEqual(len(renderers), 1, "\n".join(lines))
		pool.send("ASSIGN", container=agent.container, session=1)
		pool.wait("AGENT", seconds=60)
		began = time.monotonic()
		pool.send("DESTROY", container=agent.container)
		pool.wait("GONE", agent.container)
		print("DESTROY to GONE %.2f s" % (time.monotonic() - began))
		self.assertEqual(pool.close(), 0)


if __name__ == "__main__":
	if os.geteuid() != 0 or not os.path.exists("/usr/bin/crun"):
		print("pool: skipped: needs root and crun")
		sys.exit(77)
	unittest.main(verbosity=2)
