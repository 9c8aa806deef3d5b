// The process that holds a pod's namespaces: waits for the end, and takes in children that nobody waits for.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void end(int signal) {
  (void)signal;
  _exit(0);
}

static void reap(int signal) {
  (void)signal;
  while (waitpid(-1, 0, WNOHANG) > 0) {
  }
}

int main(void) {
  struct sigaction at_end = {.sa_handler = end}, at_child = {.sa_handler = reap, .sa_flags = SA_NOCLDSTOP};
  sigaction(SIGTERM, &at_end, 0);
  sigaction(SIGINT, &at_end, 0);
  sigaction(SIGCHLD, &at_child, 0);
  for (;;)
    pause();
}
