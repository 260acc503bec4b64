#include "CSystemShim.h"
int ninefold_sys(void) { return 1; }
