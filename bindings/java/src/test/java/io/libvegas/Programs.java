package io.libvegas;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** Programs that tests run in a process of their own, and how. */
public final class Programs {
    private Programs() {}

    /** One that runs. Its output and errors come together. */
    record Child(Process process, BufferedReader out) {
        String line() throws IOException {
            return out.readLine();
        }

        void say() throws IOException {
            process.getOutputStream().write('\n');
            process.getOutputStream().flush();
        }

        /** Its last output, when it has ended with that status. */
        String end(int status) throws Exception {
            StringBuilder all = new StringBuilder();
            Thread killer = new Thread(() -> {
                try {
                    Thread.sleep(60_000);
                    process.destroyForcibly();
                } catch (InterruptedException e) {
                    // It has ended in time.
                }
            });
            killer.setDaemon(true);
            killer.start();
            for (String line = line(); line != null; line = line()) {
                all.append(line).append('\n');
            }
            int code = process.waitFor();
            killer.interrupt();
            Tests.yes(code == status, "exit status " + code + ":\n" + all);
            return all.toString();
        }
    }

    static Child start(String program, Map<String, String> environment, String... arguments) throws IOException {
        return start(program, environment, List.of(), null, List.of(), arguments);
    }

    /** By a program that starts it, where there is one. */
    static Child start(String program, Map<String, String> environment, List<String> options, String classes, List<String> by, String... arguments) throws IOException {
        List<String> command = new ArrayList<>(by);
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(options);
        command.add("-Djava.util.logging.config.file=" + quiet());
        command.add("-cp");
        command.add((classes == null ? "" : classes + File.pathSeparator) + System.getProperty("java.class.path"));
        if (!Character.isUpperCase(program.charAt(0))) { // no class, but one of those below
            command.add(Programs.class.getName());
        }
        command.add(program);
        command.addAll(List.of(arguments));
        ProcessBuilder b = new ProcessBuilder(command).redirectErrorStream(true);
        b.environment().putAll(environment);
        b.environment().values().removeIf(String::isEmpty);
        Process p = b.start();
        return new Child(p, new BufferedReader(new InputStreamReader(p.getInputStream())));
    }

    /** Warnings and worse only. */
    private static Path quiet() throws IOException {
        Path file = Files.createTempFile("vegas-logging", ".properties");
        file.toFile().deleteOnExit();
        return Files.writeString(file, "handlers=java.util.logging.ConsoleHandler\n.level=WARNING\n");
    }

    public static void main(String[] args) throws Exception {
        String stream = args.length > 1 ? args[1] : "none";
        switch (args[0]) {
            case "open" -> {
                try (Producer p = new Producer("orders")) {
                    System.out.println(p);
                } catch (VegasException e) {
                    System.out.println(e.getClass().getSimpleName() + ": " + e.getMessage());
                    System.exit(1);
                }
            }
            case "busy" -> {
                Producer p = new Producer(stream);
                for (int i = 0; i < 20_000; i++) {
                    p.send("k" + i % 50, Integer.toString(i));
                }
            }
            case "nowhere" -> {
                Producer p = new Producer("s", o -> o.endpoint("http://127.0.0.1:9").closeTimeout(Duration.ofMillis(500)));
                for (int i = 0; i < 10; i++) {
                    p.send("k", "x");
                }
            }
            case "receive" -> {
                // The second record is in its handler when the program ends.
                CountDownLatch never = new CountDownLatch(1);
                Consumer c = new Consumer(stream, "g", r -> {
                    System.out.println(r.text());
                    if (r.text().equals("2")) {
                        never.await();
                    }
                }, o -> o.pollIdle(Duration.ofMillis(50)).pollBusy(Duration.ofMillis(20)).grace(Duration.ofMillis(300)).leaseTime(Duration.ofMinutes(1)));
                c.await(Duration.ofMinutes(1));
            }
            case "durable" -> {
                Producer p = new Producer(stream, o -> o.durable(args[2]).endpoint("http://127.0.0.1:9"));
                for (int i = 0; i < 999; i++) {
                    p.send("k", Integer.toString(i));
                }
                System.out.println(p.send("k", "999").get(30, TimeUnit.SECONDS).durable());
                System.in.read();
            }
            default -> throw new IllegalArgumentException(args[0]);
        }
    }
}
