int ninefold_sys(void);
